import type { JobUser } from "./sandbox.ts";

/** Far from the ids that distributions give to people and services. */
export const DEFAULT_JOB_USER: JobUser = { uid: 10001, gid: 10001 };
const MAX_ID = 2 ** 31 - 1;

/** `uid:gid`, or `uid` alone for both; throws a sentence for people on anything else. */
export function parseJobUser(text: string): JobUser {
  const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  const uid = Number(match?.[1]);
  const gid = Number(match?.[2] ?? match?.[1]);
  if (!match || uid > MAX_ID || gid > MAX_ID) {
    throw new Error(`"${text}" is not a user: write numeric ids as uid:gid, for example 10001:10001.`);
  }
  return { uid, gid };
}

/** A root runner gives its steps another user; any other runner can only be itself, and its files stay its own. */
export function chooseJobUser(configured: JobUser | null, runner: JobUser = currentUser()): JobUser {
  if (runner.uid !== 0) return runner;
  return configured ?? DEFAULT_JOB_USER;
}

export function currentUser(): JobUser {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

export function runnerIsRoot(): boolean {
  return currentUser().uid === 0;
}
