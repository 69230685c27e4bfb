import { parentPort } from "node:worker_threads";
import { hashSync, verifySync } from "@node-rs/argon2";
import type { PasswordAnswer, PasswordTask } from "./password-thread.ts";

// The thread of PasswordThread: one password, one answer.

/** Argon2id (the library's default) with the parameters that OWASP's password storage cheat sheet names first. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 };

function work({ password, stored }: PasswordTask): PasswordAnswer {
  try {
    return { result: stored === null ? hashSync(password, PARAMETERS) : verifySync(stored, password) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

parentPort?.on("message", (task: PasswordTask) => parentPort?.postMessage(work(task)));
