import { Worker } from "node:worker_threads";

/** To the thread: `stored` null asks for a hash, else whether it is one of the password. */
export interface PasswordTask {
  readonly password: string;
  readonly stored: string | null;
}

export type PasswordAnswer = { readonly result: string | boolean } | { readonly error: string };

/** One thread that works on one password at a time. It does not hold the process while it has nothing to do. */
export class PasswordThread {
  readonly #worker = new Worker(new URL("./passwords.thread.ts", import.meta.url));
  #ended = false;
  #reject: ((error: Error) => void) | null = null;

  constructor() {
    const end = (error: Error): void => {
      this.#ended = true;
      this.#reject?.(error);
    };
    this.#worker.once("error", end);
    this.#worker.once("exit", () => end(new Error("the thread for passwords ended")));
    this.#worker.unref();
  }

  /** True once it is of no use any more. */
  get ended(): boolean {
    return this.#ended;
  }

  async hash(password: string): Promise<string> {
    return (await this.#ask({ password, stored: null })) as string;
  }

  async verify(stored: string, password: string): Promise<boolean> {
    return (await this.#ask({ password, stored })) as boolean;
  }

  async #ask(task: PasswordTask): Promise<string | boolean> {
    this.#worker.ref();
    try {
      const answer = await new Promise<PasswordAnswer>((resolve, reject) => {
        this.#reject = reject;
        this.#worker.once("message", resolve);
        this.#worker.postMessage(task);
      });
      if ("error" in answer) throw new Error(answer.error);
      return answer.result;
    } finally {
      this.#reject = null;
      this.#worker.unref();
    }
  }
}
