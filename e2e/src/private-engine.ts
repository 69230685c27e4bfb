import { join } from "node:path";
import { execa } from "execa";
import { Child } from "./child.ts";
import { eventually } from "./eventually.ts";
import type { Stage } from "./stage.ts";

/**
 * A Docker Engine with nothing in it and without a network, for what must not be done to the images of the one that all tests use.
 * Needs root.
 */
export class PrivateEngine {
  readonly socket: string;

  private constructor(socket: string) {
    this.socket = socket;
  }

  static async start(stage: Stage): Promise<PrivateEngine> {
    const folder = await stage.folder("engine");
    const engine = new PrivateEngine(join(folder, "docker.sock"));
    const args = ["--host", `unix://${engine.socket}`, "--bridge", "none", "--iptables=false", "--ip-masq=false"];
    args.push("--log-level", "warn");
    for (const name of ["data-root", "exec-root"]) args.push(`--${name}`, join(folder, name));
    args.push("--pidfile", join(folder, "pid"));
    // Without a network of its own it would take down the bridge of the other engine.
    stage.addChild(new Child("dockerd", "unshare", ["--net", "--mount", "dockerd", ...args], {}));
    await eventually("the engine answers", () =>
      engine.docker("version").then(
        () => true,
        () => false,
      ),
    );
    return engine;
  }

  async docker(...args: string[]): Promise<string> {
    return (await execa("docker", ["--host", `unix://${this.socket}`, ...args])).stdout;
  }
}
