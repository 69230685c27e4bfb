/** A checkout that the runner made in a job. */
export interface KnownCheckout {
  /** Below the workspace; empty for the workspace itself. */
  readonly path: string;
  /** Its URL, without a credential. */
  readonly repository: string;
  /** As it was asked for. */
  readonly ref: string;
  readonly commit: string;
}

/** What lies where in a workspace as the runner made it: what steps wrote since is not asked. */
export class JobCheckouts {
  readonly #known = new Map<string, KnownCheckout>();

  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  /** Takes the place of what lay at its path and below. */
  add(checkout: KnownCheckout): void {
    for (const path of this.#known.keys()) if (isWithin(path, checkout.path)) this.#known.delete(path);
    this.#known.set(checkout.path, checkout);
  }

  /** The checkout at the path when it is that of the repository at the ref, by whatever name; null otherwise. */
  find({ path, repository, ref }: Pick<KnownCheckout, "path" | "repository" | "ref">): KnownCheckout | null {
    const known = this.#known.get(path);
    if (known?.repository !== repository) return null;
    return known.ref === ref || known.commit === ref ? known : null;
  }
}

function isWithin(path: string, folder: string): boolean {
  return folder === "" || path === folder || path.startsWith(`${folder}/`);
}
