import { closeSync, constants, openSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { runnerIsRoot } from "../job-user.ts";
import type { OutputChunk } from "../pump-output.ts";
import type { JobUser, OutputStream } from "../sandbox.ts";

const MAKE_TIMEOUT_MS = 10_000;

/**
 * The standard output and error of one step as real pipes. Node gives its children sockets, and a script that writes to
 * `/dev/stderr` cannot open a socket.
 */
export class OutputPipes {
  readonly #readers: { name: OutputStream; socket: Socket }[];
  readonly #writers: number[];
  #queue: OutputChunk[] = [];
  #open: number;
  #wake: (() => void) | null = null;
  #discards = false;

  private constructor(readers: { name: OutputStream; socket: Socket }[], writers: number[]) {
    this.#readers = readers;
    this.#writers = writers;
    this.#open = readers.length;
    for (const { name, socket } of readers) {
      socket.on("data", (chunk: Buffer) => this.#onData(name, socket, chunk));
      socket.once("close", () => this.#onClose());
      socket.on("error", () => {});
    }
  }

  /** `folder` is the runner's own; the pipes have no name any more when this resolves. */
  static async make(folder: string, user: JobUser): Promise<OutputPipes> {
    const paths = (["stdout", "stderr"] as const).map((name) => ({ name, path: join(folder, `.${name}`) }));
    const names = paths.map(({ path }) => path);
    const readers: { name: OutputStream; socket: Socket }[] = [];
    const writers: number[] = [];
    try {
      await execa("mkfifo", ["-m", "600", "--", ...names], { timeout: MAKE_TIMEOUT_MS, stdin: "ignore" });
      for (const { name, path } of paths) {
        if (runnerIsRoot()) await chown(path, user.uid, user.gid);
        // In this order neither open waits for the other end.
        const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
        readers.push({ name, socket: new Socket({ fd, readable: true, writable: false }) });
        writers.push(openSync(path, constants.O_WRONLY));
      }
      return new OutputPipes(readers, writers);
    } catch (error) {
      for (const { socket } of readers) socket.destroy();
      for (const fd of writers) closeSync(fd);
      throw error;
    } finally {
      await Promise.all(names.map((path) => rm(path, { force: true })));
    }
  }

  /** The ends for the child, standard output first. */
  get descriptors(): readonly number[] {
    return this.#writers;
  }

  /** Once the child has them: else the pipes would never end. */
  closeWriters(): void {
    for (const fd of this.#writers.splice(0)) closeSync(fd);
  }

  async *chunks(): AsyncGenerator<OutputChunk> {
    for (;;) {
      const next = this.#queue.shift();
      if (next) {
        for (const { socket } of this.#readers) socket.resume();
        yield next;
      } else if (this.#open === 0) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  /** Reads on and forgets: a background process must not die of a closed pipe. */
  discard(): void {
    this.#discards = true;
    this.#queue = [];
    for (const { socket } of this.#readers) socket.resume();
  }

  destroy(): void {
    this.closeWriters();
    for (const { socket } of this.#readers) socket.destroy();
  }

  #onData(name: OutputStream, socket: Socket, chunk: Buffer): void {
    if (this.#discards) return;
    this.#queue.push({ stream: name, chunk });
    socket.pause();
    this.#wakeUp();
  }

  #onClose(): void {
    this.#open -= 1;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
