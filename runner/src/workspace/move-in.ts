import { lstat, mkdir, mkdtemp, readdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ArchiveFault } from "../files/archive-fault.ts";
import { shown } from "../files/archive-path.ts";
import { WorkspaceTree } from "../files/workspace-tree.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { CheckoutError } from "./checkout-error.ts";

/** What renaming a folder to a place says when something came there in the meantime. */
const TAKEN: ReadonlySet<string> = new Set(["ENOTEMPTY", "EEXIST", "ENOTDIR"]);

type Place = Pick<Sandbox, "workspace" | "handOver" | "createHiddenFolder">;
type Parts = readonly string[];

/**
 * Moves finished folders to their places in a workspace in which steps have been at work, and may be. Whatever they made of it,
 * no link is followed, and nothing happens in it but the renaming of what the runner prepared beside it. All paths are given
 * as the names on the way, none for the workspace itself; with `force` what is there goes.
 */
export class MoveIn {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  /**
   * Tells ahead what `put` would: throws CheckoutError `checkout_destination_occupied` where something lies, and
   * `checkout_path_invalid` where the way leads through a link or something that is no folder.
   */
  async check(parts: Parts, { force }: { force: boolean }): Promise<void> {
    await this.#inTree(parts, (tree) => checkRoom(tree, parts, force));
  }

  /** Moves `folder`, which lies alone in a hidden folder; of the workspace itself its content. Throws what `check` throws. */
  async put(folder: string, parts: Parts, { force }: { force: boolean }): Promise<void> {
    await this.#inTree(parts, async (tree) => {
      await checkRoom(tree, parts, force);
      const [top, ...below] = parts;
      if (top === undefined) await this.#fillWorkspace(tree, folder);
      else await this.#putBelow(tree, folder, [top, ...below]);
    });
  }

  async #inTree(parts: Parts, work: (tree: WorkspaceTree) => Promise<void>): Promise<void> {
    const tree = await WorkspaceTree.open(this.#place.workspace);
    try {
      await work(tree);
    } catch (error) {
      if (error instanceof ArchiveFault)
        throw new CheckoutError("checkout_path_invalid", `The checkout cannot be put there: ${error.message}.`);
      throw TAKEN.has((error as NodeJS.ErrnoException).code ?? "") ? occupied(parts) : error;
    } finally {
      await tree.close();
    }
  }

  async #fillWorkspace(tree: WorkspaceTree, folder: string): Promise<void> {
    await this.#place.handOver(folder);
    const { folder: root } = await tree.descend([]);
    const there = await readdir(root, { encoding: "buffer" });
    if (there.length > 0) await moveAll(root, there, await this.#place.createHiddenFolder());
    await moveAll(folder, await readdir(folder, { encoding: "buffer" }), root);
  }

  async #putBelow(tree: WorkspaceTree, folder: string, parts: [string, ...string[]]): Promise<void> {
    const { folder: above, missing } = await tree.descend(parts.slice(0, -1));
    // Folders on the way come along: none is made in the workspace.
    const moved = parts.slice(parts.length - 1 - missing.length);
    const prepared = await mkdtemp(join(dirname(folder), "prepared-"));
    await mkdir(join(prepared, ...moved.slice(0, -1)), { recursive: true });
    await rename(folder, join(prepared, ...moved));
    const top = moved[0] as string;
    await this.#place.handOver(join(prepared, top));
    const target = join(above, top);
    // An empty folder makes way by itself; what was there stays hidden until the job ends, when nothing can reach it any more.
    if (missing.length === 0 && (await isFilled(target)))
      await rename(target, join(await this.#place.createHiddenFolder(), "replaced"));
    await rename(join(prepared, top), target);
  }
}

async function checkRoom(tree: WorkspaceTree, parts: Parts, force: boolean): Promise<void> {
  const last = parts.at(-1);
  const { folder, missing } = await tree.descend(parts.slice(0, -1));
  if (force || missing.length > 0) return;
  if (last === undefined) {
    if ((await readdir(folder)).length > 0) throw occupied(parts);
    return;
  }
  const found = await lstat(join(folder, last)).catch(() => null);
  if (found?.isSymbolicLink()) throw new ArchiveFault(`${shown(parts.join("/"))} is a link`);
  if (found !== null && (await isFilled(join(folder, last)))) throw occupied(parts);
}

/** Whether something lies there that renaming a folder to it would not replace. */
async function isFilled(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return false;
  // A folder that is not to be read counts as full: renaming has the last word.
  return !found.isDirectory() || (await readdir(path).catch(() => ["?"])).length > 0;
}

/** Names that steps gave need not be UTF-8. */
async function moveAll(from: string, names: readonly Buffer[], to: string): Promise<void> {
  const within = (folder: string, name: Buffer) => Buffer.concat([Buffer.from(`${folder}/`), name]);
  for (const name of names) await rename(within(from, name), within(to, name));
}

function occupied(parts: Parts): CheckoutError {
  const where = parts.length === 0 ? "The workspace" : shown(parts.join("/"));
  return new CheckoutError(
    "checkout_destination_occupied",
    `${where} holds something else. Give the checkout another \`path\`, or \`force: true\` to replace what is there.`,
  );
}
