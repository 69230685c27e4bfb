export type EngineAddress = { socketPath: string } | { host: string; port: string; protocol: "http" | "https" };

/**
 * Reads a DOCKER_HOST: a socket's path with or without `unix://`, or a `tcp://`, `http://` or `https://` URL. Throws a sentence
 * that says what was expected.
 */
export function parseEngineAddress(host: string): EngineAddress {
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
  if (host.startsWith("/")) return { socketPath: host };
  const url = /^(tcp|https?):\/\//.test(host) ? URL.parse(host.replace(/^tcp:/, "http:")) : null;
  if (url === null || url.hostname === "")
    throw new Error("expected a socket such as unix:///run/docker.sock, or an address such as tcp://127.0.0.1:2375");
  return { host: url.hostname, port: url.port || "2375", protocol: url.protocol === "https:" ? "https" : "http" };
}
