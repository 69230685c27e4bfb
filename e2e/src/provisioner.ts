import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Child } from "./child.ts";
import type { Instance } from "./instance.ts";
import { PROVISIONER } from "./programs.ts";
import type { Stage } from "./stage.ts";

/** A provisioner of a workspace as a real process, with a templates file of its own. */
export class Provisioner {
  readonly templatesFile: string;
  readonly stateDir: string;
  readonly tokenId: string;
  readonly #stage: Stage;
  readonly #env: Record<string, string>;
  #child: Child | null = null;

  private constructor(stage: Stage, folder: string, tokenId: string, env: Record<string, string>) {
    this.#stage = stage;
    this.tokenId = tokenId;
    this.templatesFile = join(folder, "templates.yaml");
    this.stateDir = join(folder, "state");
    this.#env = {
      SHIPFOX_PROVISIONER_TOKEN_FILE: join(folder, "token"),
      SHIPFOX_PROVISIONER_TEMPLATES_FILE: this.templatesFile,
      SHIPFOX_PROVISIONER_STATE_DIR: this.stateDir,
      SHIPFOX_PROVISIONER_CONVERGE_MS: "500",
      ...env,
    };
  }

  /** All that it needs, without a process. */
  static async prepare(stage: Stage, instance: Instance, templates: string): Promise<Provisioner> {
    const folder = await stage.folder("provisioner");
    const { workspaceId } = instance;
    const token = await instance.api.client.provisioners.createToken({ workspaceId });
    await writeFile(join(folder, "token"), token.raw_token, { mode: 0o600 });
    await writeFile(join(folder, "templates.yaml"), templates);
    return new Provisioner(stage, folder, token.id, { SHIPFOX_API_URL: instance.plane.url });
  }

  /** Starts it; resolves as soon as the process is there. */
  static async launch(stage: Stage, instance: Instance, templates: string): Promise<Provisioner> {
    const provisioner = await Provisioner.prepare(stage, instance, templates);
    provisioner.restart();
    return provisioner;
  }

  get child(): Child {
    if (this.#child === null) throw new Error("the provisioner was not started");
    return this.#child;
  }

  kill9(): Promise<void> {
    return this.child.kill9();
  }

  restart(more: Record<string, string> = {}): void {
    this.#child = this.#spawn({ ...this.#env, ...more });
  }

  /** One of its commands, with the same settings. */
  command(args: readonly string[], more: Record<string, string> = {}): Child {
    return this.#stage.addChild(new Child(`provisioner ${args[0]}`, PROVISIONER, args, { ...this.#env, ...more }));
  }

  /** As an operator drains it: resolves when its machines are gone and it has ended well. */
  async drain(): Promise<void> {
    const command = this.#stage.addChild(new Child("drain", PROVISIONER, ["drain"], this.#env));
    const [asked, ended] = await Promise.all([command.exited, this.child.exited]);
    if (asked.code !== 0 || ended.code !== 0) throw new Error(`drained with ${asked.code}, ended with ${ended.code}`);
  }

  /** Another process with the same token, on what is as good as another host. */
  async second(): Promise<Child> {
    return this.#spawn({ ...this.#env, SHIPFOX_PROVISIONER_STATE_DIR: await this.#stage.folder("second") });
  }

  #spawn(env: Record<string, string>): Child {
    return this.#stage.addChild(new Child("provisioner", PROVISIONER, [], env));
  }
}
