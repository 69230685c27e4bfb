/** Docker Hub, which references without a host mean. */
export const DEFAULT_REGISTRY = "docker.io";
const HUB_ALIASES = new Set(["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]);
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?$/;

export interface ImageReference {
  /** Host and, when it is written, port of the registry, in small letters. */
  readonly registry: string;
  /** Path inside the registry; images of Docker Hub without a path lie in `library`. */
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: string | null;
  /** The one full form of the reference; with a tag or a digest, never without both. */
  readonly full: string;
}

/** Reads a reference that matches the grammar of the workflow language, by the rules of Docker. */
export function parseImageReference(text: string): ImageReference {
  const [named = "", digest = null] = text.split("@");
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const path = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? (digest === null ? "latest" : null) : named.slice(colon + 1);
  const [first = "", ...rest] = path.split("/");
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  const registry = hasHost ? normalizeRegistryHost(first) : DEFAULT_REGISTRY;
  const inRegistry = hasHost ? rest.join("/") : path;
  const repository = registry === DEFAULT_REGISTRY && !inRegistry.includes("/") ? `library/${inRegistry}` : inRegistry;
  const full = `${registry}/${repository}${tag === null ? "" : `:${tag}`}${digest === null ? "" : `@${digest}`}`;
  return { registry, repository, tag, digest, full };
}

/** `host` or `host:port` in small letters, one name for Docker Hub; the caller has checked `isRegistryHost`. */
export function normalizeRegistryHost(host: string): string {
  const lower = host.toLowerCase();
  return HUB_ALIASES.has(lower) ? DEFAULT_REGISTRY : lower;
}

export function isRegistryHost(host: string): boolean {
  return HOST.test(host.toLowerCase());
}
