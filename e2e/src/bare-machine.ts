import { execa } from "execa";
import type { Stage } from "./stage.ts";

const IMAGE = "shipfox/sandbox:1";
const COMMAND_LIMIT_MS = 120_000;

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
    const { stdout } = await execa("docker", ["run", "--detach", "--init", "--rm", IMAGE, "sleep", "infinity"]);
    const machine = new BareMachine(stdout.trim());
    stage.onEnd(() => execa("docker", ["rm", "--force", "--volumes", machine.id]));
    await machine.sh("rm -rf /usr/local/bin/node /usr/local/bin/npm /usr/local/bin/npx /usr/local/lib/node_modules");
    return machine;
  }

  /** Puts a file of this machine into a folder of that one. */
  async put(file: string, folder: string): Promise<void> {
    await execa("docker", ["cp", file, `${this.id}:${folder}`]);
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
