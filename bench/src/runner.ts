import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ControlPlane, createRegistrationToken } from "./control-plane.ts";
import type { JsonClient } from "./json-client.ts";
import { type ServerProcess, startProcess } from "./server-process.ts";

const RUNNER_COMMAND = fileURLToPath(import.meta.resolve("../../runner/bin/shipfox-runner"));
const DEFAULT_IMAGE = "shipfox/sandbox:1";

export interface Runner {
  readonly process: ServerProcess;
  readonly stateFolder: string;
}

export interface RunnerPlan {
  readonly label: string;
  /** Docker's image and how many containers are started ahead; null is the host sandbox. */
  readonly docker: { readonly image: string; readonly warm: 0 | 1 } | null;
  /** Further variables. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** The image of jobs that name none. */
export function sandboxImage(): string {
  return process.env["SHIPFOX_RUNNER_IMAGE"] || DEFAULT_IMAGE;
}

/** The real runner, one job at a time. `folder` is its own and not there yet. */
export async function startRunner(
  client: JsonClient,
  plane: ControlPlane,
  folder: string,
  plan: RunnerPlan,
  resources: AsyncDisposableStack,
): Promise<Runner> {
  await mkdir(folder, { mode: 0o755 });
  const stateFolder = join(folder, "state");
  const server = startProcess(
    {
      name: `the runner ${plan.label}`,
      command: RUNNER_COMMAND,
      env: {
        SHIPFOX_API_URL: plane.url,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN: await createRegistrationToken(client, plane),
        SHIPFOX_RUNNER_STATE_DIR: stateFolder,
        SHIPFOX_RUNNER_LABELS: plan.label,
        SHIPFOX_RUNNER_NAME: plan.label,
        ...(plan.docker === null
          ? { SHIPFOX_RUNNER_SANDBOX: "host" }
          : { SHIPFOX_RUNNER_IMAGE: plan.docker.image, SHIPFOX_RUNNER_WARM: String(plan.docker.warm) }),
        SHIPFOX_LOG_LEVEL: "warn",
        ...plan.settings,
      },
      logFile: join(folder, "runner.log"),
    },
    resources,
  );
  return { process: server, stateFolder };
}
