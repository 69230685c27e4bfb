import { join } from "node:path";
import { execa } from "execa";
import { eventually } from "./eventually.ts";
import { REPOSITORY_ROOT } from "./programs.ts";
import type { Stage } from "./stage.ts";

const IMAGE = "shipfox/sandbox:1";
const SYSTEMD_IMAGE = "shipfox/systemd:1";
/** As little as systemd can do with as PID 1. Programs are unpacked below /tmp and tried there. */
const SYSTEMD_FLAGS =
  "--cap-add SYS_ADMIN --security-opt seccomp=unconfined --cgroupns private --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec --stop-signal SIGRTMIN+3";
const IMAGE_LIMIT_MS = 240_000;
const COMMAND_LIMIT_MS = 120_000;

/** Tools that manage accounts leave copies of their files, which end with "-", and a lock. */
const LISTING = `set -- -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /root -o -path /srv -o -path '/var/tmp/systemd-private-*'
  find / -xdev \\( "$@" \\) -prune -o \\( -type d -o -type l \\) -printf '%y %p %l %m %u\\n' | sort
  find / -xdev \\( "$@" \\) -prune -o -type f ! -name '*-' ! -name .pwd.lock -exec sha256sum {} + | sort -k 2`;

/** What a command printed, and how it ended. */
export interface MachineResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A container that plays a machine: the distribution's programs, no Node, nothing of this repository. */
export class BareMachine {
  readonly id: string;

  private constructor(id: string) {
    this.id = id;
  }

  static async start(stage: Stage): Promise<BareMachine> {
    const machine = await BareMachine.#run(stage, ["--init", IMAGE, "sleep", "infinity"]);
    await machine.sh("rm -rf /usr/local/bin/node /usr/local/bin/npm /usr/local/bin/npx /usr/local/lib/node_modules");
    return machine;
  }

  /** With systemd as PID 1, booted; `folders` of this machine are seen there, by what they are called there. */
  static async boot(stage: Stage, folders: Readonly<Record<string, string>> = {}): Promise<BareMachine> {
    const volumes = Object.entries(folders).flatMap(([here, there]) => ["--volume", `${here}:${there}:ro`]);
    await execa(join(REPOSITORY_ROOT, "scripts", "systemd-image"), { timeout: IMAGE_LIMIT_MS });
    const machine = await BareMachine.#run(stage, [...SYSTEMD_FLAGS.split(" "), ...volumes, SYSTEMD_IMAGE]);
    await machine.#booted();
    return machine;
  }

  /** One with systemd: what is on its disk stays, /run and /tmp are empty. */
  async reboot(): Promise<void> {
    await execa("docker", ["restart", this.id]);
    await this.#booted();
  }

  async #booted(): Promise<void> {
    // The bus, over which this is asked, comes up with it.
    await eventually("the machine has booted", async () => (await this.try("systemctl is-system-running")).code === 0);
  }

  static async #run(stage: Stage, flags: readonly string[]): Promise<BareMachine> {
    const { stdout } = await execa("docker", ["run", "--detach", "--rm", ...flags]);
    const machine = new BareMachine(stdout.trim());
    stage.onEnd(() => execa("docker", ["rm", "--force", "--volumes", machine.id]));
    return machine;
  }

  /** Puts a file of this machine into a folder of that one. */
  async put(file: string, folder: string): Promise<void> {
    await execa("docker", ["cp", file, `${this.id}:${folder}`]);
  }

  /** Every folder, link and file with what is in it, but for what runs, what was put there to install from, and logs. */
  listing(): Promise<string> {
    return this.sh(LISTING);
  }

  /** Runs a script as root; `input` is its standard input. */
  async try(script: string, input = ""): Promise<MachineResult> {
    const result = await execa("docker", ["exec", "--interactive", this.id, "sh", "-euc", script], {
      input,
      reject: false,
      timeout: COMMAND_LIMIT_MS,
    });
    return { code: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Runs a script that must succeed; answers its standard output. */
  async sh(script: string, input = ""): Promise<string> {
    const { code, stdout, stderr } = await this.try(script, input);
    if (code !== 0) throw new Error(`${script}\nended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }
}
