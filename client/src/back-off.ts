import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "./client-error.ts";

const BASE_MS = 250;
const MAX_MS = 4_000;

/**
 * Waits before try number `failures` + 1: exponential with jitter, never less than the server asked for. Rejects when
 * `signal` is aborted.
 */
export async function backOff(failures: number, signal?: AbortSignal, error?: unknown): Promise<void> {
  const ceiling = Math.min(MAX_MS, BASE_MS * 2 ** (failures - 1));
  const asked = error instanceof ClientError ? (error.retryAfterMs ?? 0) : 0;
  await sleep(Math.max(asked, ceiling / 2 + Math.random() * (ceiling / 2)), undefined, { signal });
}
