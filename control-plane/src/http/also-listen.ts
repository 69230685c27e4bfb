import { once } from "node:events";
import type { Server } from "node:http";
import { isIP } from "node:net";
import type { Logger } from "@shipfox/shared/logger";
import type { Route } from "./route.ts";

const MAX_PORT = 65_535;
/** A bridge of Docker comes and goes with its engine; its address is tried so often until it is there. */
const RETRY_MS = 1_000;
const HEALTH_PATHS = new Set(["/health", "/healthz", "/readyz"]);
const MACHINES = new Set(["registration", "runner-session", "lease", "provisioner"]);

export interface ListenAddress {
  /** An IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `192.0.2.1:16101` or `[2001:db8::1]:16101`; null when it is neither. Names are no addresses: they may come to mean another. */
export function parseListenAddress(text: string): ListenAddress | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const [, v6, v4, digits] = match ?? [];
  const port = Number(digits);
  if (match === null || port > MAX_PORT) return null;
  if (v6 !== undefined) return isIP(v6) === 6 ? { host: v6, port } : null;
  return isIP(v4 ?? "") === 4 ? { host: v4 as string, port } : null;
}

/** What runners and provisioners call, and whether the server is alive; nothing that a user's credential or none opens. */
export function routesOfMachines(routes: readonly Route[]): Route[] {
  return routes.filter(({ credential, path }) => MACHINES.has(credential) || HEALTH_PATHS.has(path));
}

/**
 * Listens, also when the address is not on this host yet: then again and again until it is, or the signal says stop. Resolves when it
 * listens or is told that it has to wait. Rejects with the error of the socket when the address is taken or forbidden.
 */
export async function listenWhenThere(
  server: Server,
  address: ListenAddress,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  try {
    await listen(server, address);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRNOTAVAIL") throw error;
    log.warn(address, "this address is not on this host yet; listening there as soon as it is");
    listenLater(server, address, { log, signal });
  }
}

function listenLater(server: Server, address: ListenAddress, shell: { log: Logger; signal: AbortSignal }): void {
  const { log, signal } = shell;
  const retry = () => {
    if (signal.aborted) return;
    listen(server, address).then(
      () => log.info(address, "listening for machines"),
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRNOTAVAIL") log.error({ ...address, err: error }, "cannot listen for machines");
        listenLater(server, address, shell);
      },
    );
  };
  setTimeout(retry, RETRY_MS).unref();
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
}
