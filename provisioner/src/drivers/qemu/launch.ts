import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { type Account, asAccount } from "./command-line.ts";
import { CONSOLE_KEEPER } from "./console.ts";
import { untilStarted } from "./control-channel.ts";
import { MACHINE_VARIABLE } from "./machine-processes.ts";

/** What a machine's processes get besides the mark: they need no more, and nothing of the provisioner's is for them. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** How long after its end QEMU's last words may take to reach the console's file. */
const LAST_WORDS_LIMIT_MS = 5_000;

export interface Launch {
  readonly runFolder: string;
  /** QEMU with all that is around it. */
  readonly command: readonly string[];
  /** A descriptor of the seed disk; QEMU inherits it. */
  readonly seed: number;
  readonly account: Account | null;
}

/**
 * Starts QEMU and what keeps its console, both in sessions of their own, so that they stay when this process ends. Resolves when the
 * guest runs. After a rejection the console has all that QEMU said, and processes may be left: the caller kills them.
 */
export async function launch({ runFolder, command, seed, account }: Launch, signal: AbortSignal): Promise<void> {
  const env = { PATH: process.env["PATH"] ?? PATH, [MACHINE_VARIABLE]: runFolder };
  const own = account === null ? [] : asAccount(account);
  const options = { cwd: runFolder, env, detached: true };
  const [keeperProgram, ...keeperArguments] = [...own, "sh", "-c", CONSOLE_KEEPER];
  const keeper = spawn(keeperProgram, keeperArguments, { ...options, stdio: ["pipe", "ignore", "ignore"] });
  await started(keeper);
  const console = keeper.stdin;
  const [program = "", ...rest] = command;
  const qemu = spawn(program, rest, { ...options, stdio: ["ignore", console, console, "pipe", seed] });
  await started(qemu);
  // The last one to hold the other end must be QEMU: then the keeper ends with it.
  console.destroy();
  const channel = qemu.stdio[3] as Duplex;
  try {
    await untilStarted(channel, signal);
  } catch (error) {
    await ended(keeper, signal);
    throw error;
  } finally {
    channel.destroy();
  }
}

async function ended(child: ChildProcess, signal: AbortSignal): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LAST_WORDS_LIMIT_MS)]);
  await once(child, "exit", { signal: limit }).catch(() => undefined);
}

async function started(child: ChildProcess): Promise<void> {
  // A failure later on shows in the machine's processes, which are looked at, not waited for.
  child.on("error", () => undefined);
  await once(child, "spawn");
  child.unref();
}
