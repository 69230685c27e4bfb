import { constants } from "node:os";

const SIGNAL_BASE = 128;

const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

/** The signal that an exit code of 128 + n stands for, by the convention of shells and engines; null for any other code. */
export function signalOf(exitCode: number): NodeJS.Signals | null {
  return exitCode > SIGNAL_BASE ? (SIGNAL_NAMES.get(exitCode - SIGNAL_BASE) ?? null) : null;
}

/** The kernel's answer about a child process in the engine's form. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  if (signal !== null) return SIGNAL_BASE + constants.signals[signal];
  return code ?? SIGNAL_BASE + constants.signals.SIGKILL;
}
