import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { RunnerInstance } from "@shipfox/shared/api/provisioners";
import type { ControlPlane } from "./control-plane.ts";
import type { JsonClient } from "./json-client.ts";
import { type ServerProcess, startProcess } from "./server-process.ts";

const COMMAND = fileURLToPath(import.meta.resolve("../../provisioner/bin/shipfox-provisioner"));
const STATE_TIMEOUT_MS = 120_000;
const STATE_POLL_MS = 50;
const PAGE = 100;

/** The real provisioner of the workspace in a process of its own, with its settings as they are by default. */
export class Provisioner {
  readonly process: ServerProcess;
  readonly #client: JsonClient;
  readonly #plane: ControlPlane;

  private constructor(client: JsonClient, plane: ControlPlane, process: ServerProcess) {
    this.process = process;
    this.#client = client;
    this.#plane = plane;
  }

  /** `folder` is its own and not there yet; `templates` is the text of the templates file. */
  static async start(
    client: JsonClient,
    plane: ControlPlane,
    folder: string,
    templates: string,
    resources: AsyncDisposableStack,
  ): Promise<Provisioner> {
    await mkdir(folder, { mode: 0o700 });
    const tokenFile = join(folder, "token");
    const templatesFile = join(folder, "templates.yaml");
    const path = `/workspaces/${plane.workspaceId}/provisioners/tokens`;
    const body = { name: "bench" };
    const token = await client.call<{ raw_token: string }>("POST", path, { token: plane.token, body });
    await writeFile(tokenFile, token.raw_token, { mode: 0o600 });
    await writeFile(templatesFile, templates);
    const server = startProcess(
      {
        name: "the provisioner",
        command: COMMAND,
        env: {
          SHIPFOX_API_URL: plane.url,
          SHIPFOX_PROVISIONER_TOKEN_FILE: tokenFile,
          SHIPFOX_PROVISIONER_TEMPLATES_FILE: templatesFile,
          SHIPFOX_PROVISIONER_STATE_DIR: join(folder, "state"),
          SHIPFOX_LOG_LEVEL: "warn",
        },
        logFile: join(folder, "provisioner.log"),
      },
      resources,
    );
    return new Provisioner(client, plane, server);
  }

  /** The newest first, at most 100: all that have not ended, or the last ones of all. */
  async instances(which: "open" | "latest"): Promise<RunnerInstance[]> {
    const query = `limit=${PAGE}&open=${which === "open"}`;
    const path = `/workspaces/${this.#plane.workspaceId}/runner-instances?${query}`;
    const { token } = this.#plane;
    return (await this.#client.call<{ runner_instances: RunnerInstance[] }>("GET", path, { token })).runner_instances;
  }

  /** Looks 20 times a second. */
  async until(what: string, holds: (open: readonly RunnerInstance[]) => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + STATE_TIMEOUT_MS;
    while (performance.now() < deadline) {
      if (await holds(await this.instances("open"))) return;
      await sleep(STATE_POLL_MS);
    }
    const log = await this.process.logTail();
    throw new Error(`not within ${STATE_TIMEOUT_MS} ms: ${what}. The provisioner's log ends with:\n${log}`);
  }
}
