import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { RATE_LIMITS_OFF } from "@shipfox/shared/rate-limits-off.fixture";
import { Child } from "./child.ts";
import { eventually } from "./eventually.ts";
import { CONTROL_PLANE } from "./programs.ts";
import type { Stage } from "./stage.ts";

const READY_LIMIT_MS = 60_000;

/** The times of leases at a tenth, so that a lost runner is noticed in seconds. */
const SHORT_TIMES: Record<string, string> = {
  SHIPFOX_LEASE_TERM_MS: "4000",
  SHIPFOX_HEARTBEAT_INTERVAL_MS: "1000",
  SHIPFOX_CANCEL_LIMIT_MS: "5000",
  SHIPFOX_RETRY_AVOID_MS: "1000",
  SHIPFOX_LOG_TAIL_MS: "12000",
};

/** The times that the product has by itself. */
export const DEFAULT_TIMES: Record<string, string> = {};

export interface ControlPlaneOptions {
  readonly times?: Record<string, string>;
  readonly env?: Record<string, string>;
  readonly dataDir?: string;
  readonly port?: number;
  /** The launcher of another release. */
  readonly program?: string;
}

/** A control plane on a port and a data folder of its own, which it keeps over restarts. */
export class ControlPlane {
  readonly url: string;
  readonly dataDir: string;
  readonly #stage: Stage;
  readonly #env: Record<string, string>;
  readonly #program: string;
  #child: Child;

  private constructor(stage: Stage, port: number, dataDir: string, env: Record<string, string>, program: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.dataDir = dataDir;
    this.#stage = stage;
    this.#program = program;
    this.#env = {
      SHIPFOX_GIT_ALLOW_FILE: "true",
      ...env,
      PORT: `${port}`,
      SHIPFOX_DATA_DIR: dataDir,
      SHIPFOX_PUBLIC_URL: this.url,
    };
    this.#child = this.#spawn();
  }

  static async start(stage: Stage, options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const dataDir = options.dataDir ?? (await stage.folder("data"));
    const plane = new ControlPlane(
      stage,
      options.port ?? (await freePort()),
      dataDir,
      {
        ...RATE_LIMITS_OFF,
        SHIPFOX_MAX_OPEN_STREAMS: "0",
        SHIPFOX_GIT_POLL_INTERVAL_SECONDS: "0",
        ...(options.times ?? SHORT_TIMES),
        ...options.env,
      },
      options.program ?? CONTROL_PLANE,
    );
    await plane.ready();
    return plane;
  }

  get child(): Child {
    return this.#child;
  }

  kill9(): Promise<void> {
    return this.#child.kill9();
  }

  stop(): Promise<unknown> {
    return this.#child.stop();
  }

  /** Starts it anew on the same port and data; the former process must be dead. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.ready();
  }

  #spawn(): Child {
    return this.#stage.addChild(new Child("control plane", this.#program, [], this.#env));
  }

  private async ready(): Promise<void> {
    const child = this.#child;
    await eventually(
      "the control plane answers /readyz",
      async () => {
        if (!child.running) return true;
        return (await fetch(`${this.url}/readyz`)).ok;
      },
      { limitMs: READY_LIMIT_MS },
    );
    if (!child.running) throw new Error(`the control plane ended at once:\n${child.output}`);
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** Whether a server could take this port of the loopback address now. */
export async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, "127.0.0.1");
  const free = await once(probe, "listening").then(
    () => true,
    () => false,
  );
  if (!free) return false;
  probe.close();
  await once(probe, "close");
  return true;
}
