import type { Duplex } from "node:stream";
import type { Engine } from "./engine.ts";

/**
 * Holds the standard input of a container whose main process only reads that input: when this process lets go, by `release`,
 * by a crash or by `kill -9`, the container ends with everything in it and the engine removes it.
 */
export class Lifeline {
  readonly #stream: Duplex;

  private constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** Before the container is started, so that it never runs unheld. */
  static async hold(engine: Engine, containerId: string): Promise<Lifeline> {
    const stream = await engine.attachStdin(containerId);
    // A broken connection ends the container; whoever works in it learns that from the engine.
    stream.on("error", () => {});
    stream.resume();
    return new Lifeline(stream);
  }

  release(): void {
    this.#stream.end();
    this.#stream.destroy();
  }
}
