import { statfs } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { ProviderError } from "../driver.ts";
import { kvmFault, readKvmFacts } from "./accel.ts";
import { type Account, asAccount } from "./command-line.ts";
import { findProgram, runProgram } from "./host-programs.ts";
import type { QemuMachine, QemuSettings } from "./options.ts";

const PROBE_LIMIT_MS = 10_000;
const GIB = 1024 ** 3;
/** The first with all options that are used; Debian 11 has 5.2. */
const MIN_VERSION = 5;

/** What stays the same while a provider is open. */
export interface Host {
  readonly settings: QemuSettings;
  readonly binary: string;
  readonly imageTool: string;
  readonly account: Account | null;
  readonly stateDir: string;
  /** The machine with absolute paths. */
  resolve(machine: QemuMachine): QemuMachine;
}

/** What keeps machines from working on this host, a sentence each. */
export async function checkHost(
  host: Host,
  machines: readonly QemuMachine[],
  memoryMib: number,
  signal: AbortSignal,
): Promise<string[]> {
  const problems = [...(await versionProblems(host, signal)), ...(await toolProblems(host)), ...accelProblems(host)];
  const { bavail, bsize } = await statfs(host.stateDir);
  if (bavail * bsize < GIB)
    problems.push(`less than 1 GiB is free under ${host.stateDir}, where the machines' disks grow`);
  const largest = Math.max(0, ...machines.map((machine) => machine.memory_mib));
  if (largest > memoryMib)
    problems.push(`a machine with ${largest} MiB never fits: all machines together may have ${memoryMib} MiB`);
  for (const machine of machines) problems.push(...(await machineProblems(host, host.resolve(machine), signal)));
  return [...new Set(problems)];
}

async function versionProblems({ binary }: Host, signal: AbortSignal): Promise<string[]> {
  const said = await probe([binary, "--version"], signal);
  if (said instanceof ProviderError) return [`${binary} does not start: ${said.message}`];
  const major = Number(/version (\d+)\./.exec(said)?.[1] ?? 0);
  return major >= MIN_VERSION ? [] : [`${binary} is too old or no QEMU: expected version ${MIN_VERSION} or later`];
}

async function toolProblems({ account, stateDir }: Host): Promise<string[]> {
  const needed = ["timeout", "nice", "dd", "sh", "mv", ...(account === null ? [] : ["setpriv"])];
  const problems: string[] = [];
  for (const tool of needed) {
    if ((await findProgram(tool, stateDir)) === null) problems.push(`the program ${tool} is missing on this host`);
  }
  return problems;
}

function accelProblems({ settings }: Host): string[] {
  const fault = settings.accel === "kvm" ? kvmFault(readKvmFacts()) : null;
  return fault === null ? [] : [`accel is kvm, but ${fault}`];
}

/** Everything is looked at as the user that QEMU runs as. */
async function machineProblems(host: Host, machine: QemuMachine, signal: AbortSignal): Promise<string[]> {
  const own = host.account === null ? [] : asAccount(host.account);
  const who = host.account === null ? "this user" : `user ${host.account.uid}`;
  const problems: string[] = [];
  for (const file of [machine.disk, machine.kernel, machine.initrd, machine.firmware]) {
    if (
      file !== undefined &&
      (await probe([...own, "test", "-f", file, "-a", "-r", file], signal)) instanceof ProviderError
    )
      problems.push(`${file} is missing, no file, or ${who} may not read it`);
  }
  if (problems.length > 0) return problems;
  const info = await probe(
    [...own, host.imageTool, "info", "--force-share", "--output=json", "-f", machine.disk_format, machine.disk],
    signal,
  );
  if (info instanceof ProviderError) return [`${machine.disk} is no ${machine.disk_format} image: ${info.message}`];
  const size = Number((JSON.parse(info) as { "virtual-size"?: number })["virtual-size"] ?? 0);
  if (machine.disk_gib !== undefined && machine.disk_gib * GIB < size)
    return [`disk_gib is ${machine.disk_gib}, but ${machine.disk} has ${(size / GIB).toFixed(1)} GiB`];
  return [];
}

function probe(command: readonly string[], signal: AbortSignal): Promise<string | ProviderError> {
  return runProgram(command, { timeoutMs: PROBE_LIMIT_MS, signal }).catch((error: unknown) => {
    if (error instanceof ProviderError && error.fault !== "unavailable") return error;
    throw error;
  });
}

/** The machine with its paths made absolute, starting at `baseDir`. */
export function withAbsolutePaths(machine: QemuMachine, baseDir: string): QemuMachine {
  const absolute = (path: string) => (isAbsolute(path) ? path : join(baseDir, path));
  const { kernel, initrd, firmware } = machine;
  return {
    ...machine,
    disk: absolute(machine.disk),
    ...(kernel === undefined ? {} : { kernel: absolute(kernel) }),
    ...(initrd === undefined ? {} : { initrd: absolute(initrd) }),
    ...(firmware === undefined ? {} : { firmware: absolute(firmware) }),
  };
}
