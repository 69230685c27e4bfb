import { Worker } from "node:worker_threads";

/** To the thread: `stored` null asks for a hash, else whether it is one of the password. */
export interface PasswordTask {
  readonly password: string;
  readonly stored: string | null;
}

export type PasswordAnswer = { readonly result: string | boolean } | { readonly error: string };

/** One thread that works on one password after the other. It does not hold the process while it has nothing to do. */
export class PasswordThread {
  readonly #worker = new Worker(new URL("./passwords.thread.ts", import.meta.url));
  /** Answers come in the order of the tasks. */
  readonly #asked: PromiseWithResolvers<PasswordAnswer>[] = [];
  #ended = false;

  constructor() {
    this.#worker.on("message", (answer: PasswordAnswer) => {
      this.#asked.shift()?.resolve(answer);
      if (this.#asked.length === 0) this.#worker.unref();
    });
    this.#worker.once("error", (error) => this.#end(error));
    this.#worker.once("exit", () => this.#end(new Error("the thread for passwords ended")));
    this.#worker.unref();
  }

  /** True once it is of no use any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Tasks that it was given and has not answered. */
  get load(): number {
    return this.#asked.length;
  }

  async hash(password: string): Promise<string> {
    return (await this.#ask({ password, stored: null })) as string;
  }

  async verify(stored: string, password: string): Promise<boolean> {
    return (await this.#ask({ password, stored })) as boolean;
  }

  async #ask(task: PasswordTask): Promise<string | boolean> {
    const asked = Promise.withResolvers<PasswordAnswer>();
    this.#asked.push(asked);
    this.#worker.ref();
    this.#worker.postMessage(task);
    const answer = await asked.promise;
    if ("error" in answer) throw new Error(answer.error);
    return answer.result;
  }

  #end(error: Error): void {
    this.#ended = true;
    for (const { reject } of this.#asked.splice(0)) reject(error);
  }
}
