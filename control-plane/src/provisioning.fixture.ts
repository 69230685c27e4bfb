import { newId } from "@shipfox/shared/ids";
import { HOLDER_HEADER } from "@shipfox/shared/provisioner";
import { onTestFinished } from "vitest";
import {
  createInstanceRoutes,
  createProvisionerMachineRoutes,
  createProvisionerRoutes,
  DemandWaiters,
  instancesPort,
  runDueInstances,
} from "./modules/provisioners/public.ts";
import { ServedPlane } from "./modules/runners/served-plane.fixture.ts";
import { systemClock } from "./store/clock.ts";
import type { Store } from "./store/store.ts";
import type { ApiReply } from "./testing/api.ts";

/** A job for each key, all of the same labels. */
export function jobsOf(labels: string, ...keys: string[]): string {
  return `name: test\njobs:\n${keys.map((key) => `  ${key}:\n    runner: ${labels}\n    steps: [{ run: 'true' }]\n`).join("")}`;
}

export const template = (slots: number, labels = ["linux"], key = "small") => ({
  template_key: key,
  labels,
  available_slots: slots,
  starting: 0,
  running: 0,
});

export interface Instance {
  readonly runner_instance_id: string;
  readonly registration_token: string;
}

/** A server with the routes of provisioners, and a provisioner that calls them. */
export class Provisioning {
  readonly plane: ServedPlane;
  readonly #waiters: DemandWaiters;
  token = "";
  id = "";

  private constructor(plane: ServedPlane, waiters: DemandWaiters) {
    this.plane = plane;
    this.#waiters = waiters;
  }

  static async start(store: Store): Promise<Provisioning> {
    const waiters = new DemandWaiters();
    const plane = await ServedPlane.start(store, {
      instances: instancesPort,
      onDemandChange: (workspaceId) => waiters.wake(workspaceId),
      more: (_store, dispatch) => {
        const access = { role: async () => "owner" as const, instanceRole: async () => null };
        const base = { store, clock: systemClock, access, dispatch, waiters, armDue: () => {} };
        return [
          ...createProvisionerRoutes(base),
          ...createProvisionerMachineRoutes(base),
          ...createInstanceRoutes(base),
        ];
      },
    });
    onTestFinished(() => waiters.stop());
    const provisioning = new Provisioning(plane, waiters);
    Object.assign(provisioning, await provisioning.newToken());
    return provisioning;
  }

  /** A further provisioner of the workspace. */
  async newToken(): Promise<{ id: string; token: string }> {
    const { body } = await this.plane.asUser("POST", `${this.#inWorkspace}/provisioners/tokens`, { name: "test" });
    return { id: body.id, token: body.raw_token };
  }

  get #inWorkspace(): string {
    return `/workspaces/${this.plane.inside.workspaceId}`;
  }

  asUser(method: string, path: string): Promise<ApiReply> {
    return this.plane.asUser(method, `${this.#inWorkspace}${path}`);
  }

  call(
    path: string,
    body?: unknown,
    { token = this.token, holder = "", method = "POST", signal = undefined as AbortSignal | undefined } = {},
  ) {
    return this.plane.call(method, `/provisioners${path}`, {
      token,
      body,
      headers: holder === "" ? {} : { [HOLDER_HEADER]: holder },
      ...(signal ? { signal } : {}),
    });
  }

  /** One poll that waits for nothing. */
  async poll(templates: unknown[], { max = 100, token = this.token, wait = 0, ttl = 60 } = {}) {
    const body = { max_reservations: max, templates, wait_seconds: wait, reservation_ttl_seconds: ttl };
    return (await this.call("/demand/poll", body, { token })).body;
  }

  /** Instances for a reservation, or, without one, for the idle pool. */
  async make(count: number, reservationId?: string, key = "small"): Promise<Instance[]> {
    const one = { template_key: key, ...(reservationId === undefined ? {} : { reservation_id: reservationId }) };
    const reply = await this.call("/runner-instances/batch", { runner_instances: new Array(count).fill(one) });
    return reply.body.runner_instances;
  }

  /** An instance of the pool whose runner has registered: its session. */
  async session(instance: Instance): Promise<string> {
    return (await this.register(instance)).body.session_token;
  }

  register(instance: Instance, { key = newId(), labels = undefined as string[] | undefined } = {}): Promise<ApiReply> {
    return this.plane.call("POST", "/runners/register", {
      token: instance.registration_token,
      body: labels ? { labels } : {},
      headers: { "idempotency-key": key },
    });
  }

  report(instance: Instance, state: string, more: object = {}) {
    return this.call("/runner-instances/report", {
      events: [{ runner_instance_id: instance.runner_instance_id, state, ...more }],
    });
  }

  runDue(now: number): Promise<number | null> {
    return runDueInstances(this.plane.inside.store, this.#waiters, now);
  }
}
