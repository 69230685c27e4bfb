import { closeSync, constants, openSync } from "node:fs";
import { type ClientRequest, type RequestOptions, request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { parseEngineAddress } from "../sandbox/docker/engine-address.ts";
import { killMarked } from "../sandbox/host/marked-processes.ts";

const ATTACH_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 30_000;

/** The lines that this process holds, by number: see `Lifelines`. Whatever it does not release ends with the process. */
export class HeldLines {
  readonly #releases = new Map<number, () => void>();
  readonly #marks = new Map<number, string>();

  async holdContainer(id: number, engine: string, container: string): Promise<void> {
    const socket = await attachStdin(engine, container);
    this.#releases.set(id, () => void socket.destroy());
  }

  /** Also open for reading, so that neither this nor the reader's open waits for the other. */
  holdPipe(id: number, path: string): void {
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    this.#releases.set(id, () => closeSync(fd));
  }

  holdProcesses(id: number, mark: string): void {
    this.#marks.set(id, mark);
    this.#releases.set(id, () => void this.#marks.delete(id));
  }

  release(id: number): void {
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }

  /** Lets go of everything; resolves when marked processes are dead too, as far as they can be found and killed. */
  async letGo(): Promise<void> {
    const marks = [...this.#marks.values()];
    for (const id of this.#releases.keys()) this.release(id);
    await Promise.all(marks.map(killMarked));
  }
}

/** The standard input of a container, over a connection that the engine hands over to us. */
async function attachStdin(engine: string, container: string): Promise<Socket> {
  const address = parseEngineAddress(engine);
  const options = {
    ...address,
    method: "POST",
    path: `/containers/${encodeURIComponent(container)}/attach?stream=1&stdin=1`,
    headers: { connection: "Upgrade", upgrade: "tcp", "content-length": "0" },
    agent: false,
  };
  const request = await startRequest(options);
  return await new Promise((resolve, reject) => {
    // Not by a signal: one that fires later would cut the line.
    const timer = setTimeout(
      () => request.destroy(new Error(`Docker did not answer in ${ATTACH_TIMEOUT_MS / 1000} s (container attach)`)),
      ATTACH_TIMEOUT_MS,
    );
    request.once("upgrade", (_response, socket: Socket) => {
      clearTimeout(timer);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      // A broken connection ends the container; whoever works in it learns that from the engine.
      socket.on("error", () => {});
      socket.resume();
      resolve(socket);
    });
    request.once("response", (response) => {
      request.destroy(new Error(`Docker refused to attach to the container (HTTP ${response.statusCode})`));
    });
    request.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end();
  });
}

/** TLS costs memory; few engines are reached through it. */
async function startRequest(options: RequestOptions): Promise<ClientRequest> {
  if (options.protocol !== "https") return httpRequest({ ...options, protocol: "http:" });
  return (await import("node:https")).request({ ...options, protocol: "https:" });
}
