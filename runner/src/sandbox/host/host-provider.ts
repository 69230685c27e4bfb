import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { chooseJobUser, runnerIsRoot } from "../job-user.ts";
import { removeTree } from "../remove-tree.ts";
import { SandboxError, hostFault } from "../sandbox-error.ts";
import type { Sandbox, SandboxCapabilities, SandboxJob, SandboxProvider } from "../sandbox.ts";
import type { HostOptions, HostSettings } from "./host-options.ts";
import { HostSandbox } from "./host-sandbox.ts";
import type { Isolation } from "./isolation.ts";
import { killMarked, markOfRunner } from "./marked-processes.ts";
import { type NamespacePrograms, Namespaces, findPrograms } from "./namespaces.ts";
import { ProcessGroup } from "./process-group.ts";
import { UserFirewall } from "./user-firewall.ts";

const REMOVE_MS = 60_000;
const PROBE_MS = 10_000;

/** Runs jobs on the machine itself: for machines that are disposable, and only when the operator asks for it. */
export class HostProvider implements SandboxProvider {
  readonly capabilities: SandboxCapabilities = { sandbox: "host", image: false, services: false, network: false };
  readonly #settings: HostSettings;
  readonly #firewall: UserFirewall;
  #programs: NamespacePrograms | null = null;
  #gaps: string[] = [];

  constructor(options: HostOptions) {
    this.#settings = {
      passedEnv: {},
      npmrcFile: null,
      caFile: null,
      isolation: "auto",
      firewall: "off",
      deniedNetworks: [],
      allowedNetworks: [],
      ...options,
      user: chooseJobUser(options.jobUser ?? null),
      placesFolder: join(options.workRoot, "places"),
    };
    this.#firewall = new UserFirewall(this.#settings);
  }

  async prepare(): Promise<void> {
    await this.#makeWorkRoot();
    await this.#removeLeftovers();
    await this.#findIsolation();
    const reachable = await this.#firewall.prepare();
    if (reachable !== null) this.#gaps.push(reachable);
  }

  create(job: SandboxJob): Sandbox {
    if ((job.services ?? []).length > 0) {
      throw new SandboxError("not_supported", "The job has services, but this runner works without containers.");
    }
    if (job.image !== null) {
      throw new SandboxError(
        "not_supported",
        `The job wants the image ${job.image}, but this runner works without containers.`,
      );
    }
    if (job.network === "none")
      throw new SandboxError("not_supported", "The job wants no network, but this runner works without containers.");
    return new HostSandbox(this.#settings, () => this.#isolate());
  }

  diskPaths(): string[] {
    return [this.#settings.workRoot];
  }

  describePool(): null {
    return null;
  }

  describeIsolation(): string[] {
    return [...this.#gaps];
  }

  async close(): Promise<void> {
    await this.#firewall.close();
  }

  async #isolate(): Promise<Isolation> {
    const { user, lifelines, placesFolder, runnerId } = this.#settings;
    await this.#firewall.renew();
    if (this.#programs === null) return await ProcessGroup.make(user, lifelines, runnerId);
    return await Namespaces.make({ programs: this.#programs, user, lifelines, folder: placesFolder, runnerId });
  }

  async #makeWorkRoot(): Promise<void> {
    const { workRoot, placesFolder, user } = this.#settings;
    try {
      for (const folder of [workRoot, placesFolder]) {
        await mkdir(folder, { recursive: true });
        await chmod(folder, 0o711);
      }
    } catch (error) {
      throw hostFault(`cannot make the work folder ${workRoot}`, error);
    }
    if (!runnerIsRoot()) return;
    const probe = await execa("/bin/sh", ["-c", 'cd "$0"', placesFolder], {
      ...user,
      reject: false,
      timeout: PROBE_MS,
      cwd: "/",
    });
    if (probe.exitCode !== 0) {
      const message = `User ${user.uid} cannot enter ${placesFolder}: choose a work folder whose parents let others pass (mode o+x).`;
      throw new SandboxError("start_failed", message);
    }
  }

  /** Processes should have died with the runner that started them; its guard may have been in no state to see to that. */
  async #removeLeftovers(): Promise<void> {
    const { placesFolder, runnerId } = this.#settings;
    // Of a namespace only the first process is marked: it ends when the kernel has killed all others.
    const alive = await killMarked(markOfRunner(runnerId));
    if (alive.length > 0) {
      throw new SandboxError(
        "clean_up_failed",
        `Processes of an earlier job do not die: ${alive.join(", ")}. Look at the machine's disks, or restart it.`,
      );
    }
    for (const name of await readdir(placesFolder)) {
      await removeTree(join(placesFolder, name), REMOVE_MS).catch((error: unknown) => {
        throw new SandboxError(
          "clean_up_failed",
          `Cannot remove what an earlier job left in ${placesFolder}: ${String(error)}`,
        );
      });
    }
  }

  async #findIsolation(): Promise<void> {
    const { isolation } = this.#settings;
    this.#gaps = [
      "Steps share this machine's network, files that everybody may read, and folders that everybody may write, such as /tmp.",
      "Steps have no limits on memory, processors, processes or disk.",
    ];
    if (!runnerIsRoot()) {
      this.#gaps.push(
        "Steps run as the runner's own user and can read its files, credentials included: run the runner as root.",
      );
    }
    this.#programs = isolation === "auto" ? await findPrograms() : null;
    const cause =
      this.#programs === null
        ? "unshare, nsenter and setpriv are not used"
        : await whyNoNamespaces(this.#programs, this.#settings);
    if (cause === null) return;
    this.#programs = null;
    this.#gaps.push(
      `Steps see the other processes of this machine, and one that hides well outlives its job: no namespaces (${cause}).`,
    );
  }
}

/** Null when namespaces can be made and entered. */
async function whyNoNamespaces(
  programs: NamespacePrograms,
  { user, lifelines, placesFolder: folder, runnerId }: HostSettings,
): Promise<string | null> {
  try {
    const namespaces = await Namespaces.make({ programs, user, lifelines, folder, runnerId });
    try {
      const { file, args } = namespaces.invoke(["-c", "exit 0"]);
      await execa(file, args, { timeout: PROBE_MS, stdin: "ignore", cwd: "/" });
      return null;
    } finally {
      await namespaces.end();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
