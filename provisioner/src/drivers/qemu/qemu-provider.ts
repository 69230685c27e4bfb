import { closeSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import PQueue from "p-queue";
import { bootFiles } from "../boot-files.ts";
import {
  CALL_LIMIT_MS,
  type CreateRequest,
  type InstanceTags,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "../driver.ts";
import { sameTags } from "../tag-labels.ts";
import { chooseAccel, readKvmFacts } from "./accel.ts";
import { checkHost, type Host } from "./check-host.ts";
import { type Account, asAccount, confined, DISK_FILE, qemuCommand } from "./command-line.ts";
import { readConsoleTail } from "./console.ts";
import { programFault, runProgram } from "./host-programs.ts";
import { launch } from "./launch.ts";
import { type MachineFolders, machineId, type MachineRecord } from "./machine-folders.ts";
import { findMachineProcesses, killMachine } from "./machine-processes.ts";
import type { QemuMachine } from "./options.ts";
import { namelessFile } from "./seed/nameless-file.ts";
import { nocloudSeed, tarSeed } from "./seed/seed-image.ts";

const MIB = 1024 ** 2;
/** Part of the host's memory that its machines may have when the settings do not say. */
const DEFAULT_MEMORY_SHARE = 0.8;
const MIN_FREE_BYTES = 1024 * MIB;
const KILL_LIMIT_MS = 15_000;

type Request = CreateRequest<QemuMachine>;

/** Virtual machines of this host. What is known of a machine stands in its folder; whether it runs, its processes say. */
export class QemuProvider implements Provider<QemuMachine> {
  /** Folders and processes are looked at directly. */
  readonly listLagMs = 0;
  readonly #host: Host;
  readonly #folders: MachineFolders;
  readonly #account: Account | null;
  readonly #memoryMib: number;
  /** Machines that are being made by this process, by id. */
  readonly #beginning = new Map<string, Promise<{ providerId: string }>>();
  /** One at a time: two machines must not both take the last memory. */
  readonly #admission = new PQueue({ concurrency: 1 });

  constructor(host: Host, folders: MachineFolders) {
    this.#host = host;
    this.#folders = folders;
    this.#account = host.account;
    this.#memoryMib = host.settings.memory_mib ?? Math.floor((totalmem() / MIB) * DEFAULT_MEMORY_SHARE);
  }

  check(machines: readonly QemuMachine[], signal: AbortSignal): Promise<readonly string[]> {
    return checkHost(this.#host, machines, this.#memoryMib, bounded(signal));
  }

  create(request: Request, signal: AbortSignal): Promise<{ readonly providerId: string }> {
    return withFaults(async () => {
      const id = machineId(request.tags.instance);
      const beginning = this.#beginning.get(id);
      if (beginning) return beginning;
      const creation = this.#create(id, request, bounded(signal)).finally(() => this.#beginning.delete(id));
      this.#beginning.set(id, creation);
      return creation;
    });
  }

  list(owner: Omit<InstanceTags, "instance">, _signal: AbortSignal): Promise<readonly ObservedMachine[]> {
    return withFaults(async () => {
      // Before the processes: a machine that is made in between then counts as being made, not as over.
      const beginning = new Set(this.#beginning.keys());
      const ids = await this.#folders.ids();
      const processes = findMachineProcesses();
      const machines: ObservedMachine[] = [];
      for (const id of ids) {
        const record = await this.#folders.read(id);
        if (record === null) continue;
        const state = this.#isRunning(id, processes) ? "running" : beginning.has(id) ? "starting" : "stopped";
        if (record === "unreadable") machines.push({ providerId: id, tags: null, state });
        else if (record.tags.controller === owner.controller && record.tags.pool === owner.pool)
          machines.push({ providerId: id, tags: record.tags, state });
      }
      return machines;
    });
  }

  delete({ providerId, tags }: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void> {
    return withFaults(async () => {
      const record = await this.#folders.read(providerId);
      if (record === null) return;
      if (record === "unreadable" || !sameTags(record.tags, tags))
        throw new ProviderError("refused", `machine ${providerId} does not carry exactly the expected tags`);
      await this.#destroy(providerId, bounded(signal));
    });
  }

  async readConsole(providerId: string, _signal: AbortSignal): Promise<string | null> {
    return withFaults(() => readConsoleTail(this.#folders.runFolder(machineId(providerId))));
  }

  async close(): Promise<void> {}

  async #create(id: string, request: Request, signal: AbortSignal): Promise<{ providerId: string }> {
    const isNew = await this.#admission.add(() => this.#admit(id, request, signal));
    if (!isNew) return { providerId: id };
    try {
      await this.#start(id, request, signal);
      return { providerId: id };
    } catch (error) {
      const console = await readConsoleTail(this.#folders.runFolder(id)).catch(() => null);
      await this.#destroy(id, AbortSignal.timeout(KILL_LIMIT_MS));
      if (error instanceof ProviderError) throw error;
      if (signal.aborted) throw new ProviderError("unavailable", "QEMU had not started in time", { cause: error });
      throw programFault(this.#host.binary, console ?? String((error as Error).message));
    }
  }

  /** Puts the machine's folder in place; false when there is one for this instance already. */
  async #admit(id: string, { name, tags, templateKey, machine }: Request, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const existing = await this.#folders.read(id);
    if (existing !== null) {
      if (existing !== "unreadable" && sameTags(existing.tags, tags)) return false;
      throw new ProviderError("refused", `there is a machine ${id} with other tags`);
    }
    await this.#findRoom(machine);
    const record: MachineRecord = {
      version: 1,
      name,
      tags,
      template_key: templateKey,
      memory_mib: machine.memory_mib,
      created_at: new Date().toISOString(),
    };
    return this.#folders.add(record, this.#account);
  }

  async #findRoom({ memory_mib }: QemuMachine): Promise<void> {
    const processes = findMachineProcesses();
    let taken = 0;
    for (const id of await this.#folders.ids()) {
      if (!this.#isRunning(id, processes) && !this.#beginning.has(id)) continue;
      const record = await this.#folders.read(id);
      if (record !== null && record !== "unreadable") taken += record.memory_mib;
    }
    if (taken + memory_mib > this.#memoryMib) {
      const message = `the machines here have ${taken} MiB of ${this.#memoryMib} MiB; ${memory_mib} MiB more do not fit`;
      throw new ProviderError("no_capacity", message);
    }
    const { bavail, bsize } = await statfs(this.#host.stateDir);
    if (bavail * bsize < MIN_FREE_BYTES) {
      const free = Math.floor((bavail * bsize) / MIB);
      throw new ProviderError(
        "no_capacity",
        `only ${free} MiB are free under ${this.#host.stateDir}, 1024 are the least`,
      );
    }
  }

  async #start(id: string, request: Request, signal: AbortSignal): Promise<void> {
    const { settings, binary } = this.#host;
    const runFolder = this.#folders.runFolder(id);
    const machine = this.#host.resolve(request.machine);
    await this.#makeDisk(runFolder, machine, signal);
    const accel = chooseAccel(settings.accel, readKvmFacts());
    const command = confined(
      qemuCommand({ binary, machineType: settings.machine_type, accel, machine, name: request.name }),
      { lifetimeSeconds: Math.ceil(request.maxLifetimeMs / 1000), nice: settings.nice, account: this.#account },
    );
    const contents = { instance: id, hostName: request.name, files: bootFiles(request.boot) };
    const image = machine.seed === "nocloud" ? nocloudSeed(contents) : await tarSeed(contents);
    const seed = namelessFile(runFolder, image);
    try {
      await launch({ runFolder, command, seed, account: this.#account }, signal);
    } finally {
      closeSync(seed);
    }
  }

  async #makeDisk(runFolder: string, machine: QemuMachine, signal: AbortSignal): Promise<void> {
    const own = this.#account === null ? [] : asAccount(this.#account);
    const backing = ["-b", machine.disk, "-F", machine.disk_format];
    const size = machine.disk_gib === undefined ? [] : [`${machine.disk_gib}G`];
    const command = [...own, this.#host.imageTool, "create", "-q", "-f", "qcow2", ...backing, DISK_FILE, ...size];
    await runProgram(command, { cwd: runFolder, timeoutMs: CALL_LIMIT_MS, signal });
  }

  async #destroy(id: string, signal: AbortSignal): Promise<void> {
    await killMachine(this.#folders.runFolder(id), signal).catch((cause: unknown) => {
      const message = `processes of machine ${id} are still there`;
      throw new ProviderError("unavailable", message, { mayHaveHappened: true, cause });
    });
    await this.#folders.remove(id);
  }

  #isRunning(id: string, processes: ReadonlyMap<string, unknown>): boolean {
    return processes.has(this.#folders.runFolder(id));
  }
}

/** Leaves time to clean up within the limit of a call. */
function bounded(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(CALL_LIMIT_MS - KILL_LIMIT_MS)]);
}

/** What is no ProviderError is a fault of this host: its disk, its kernel. */
async function withFaults<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ProviderError) throw error;
    throw new ProviderError("unavailable", `this host failed: ${(error as Error).message}`, {
      mayHaveHappened: true,
      cause: error,
    });
  }
}
