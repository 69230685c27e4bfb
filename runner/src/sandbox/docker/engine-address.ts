export type EngineAddress = { socketPath: string } | { host: string; port: string; protocol: "http" | "https" };

/** Reads a DOCKER_HOST: a socket's path with or without `unix://`, or a `tcp://`, `http://` or `https://` URL. */
export function parseEngineAddress(host: string): EngineAddress {
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
  if (host.startsWith("/")) return { socketPath: host };
  const url = new URL(host.replace(/^tcp:/, "http:"));
  return { host: url.hostname, port: url.port || "2375", protocol: url.protocol === "https:" ? "https" : "http" };
}
