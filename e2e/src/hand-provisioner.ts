import {
  type DemandReply,
  demandReplySchema,
  HOLDER_HEADER,
  instanceBatchReplySchema,
} from "@shipfox/shared/provisioner";
import { type Answer, call } from "./api.ts";
import type { Instance } from "./instance.ts";

const HOLDER = { [HOLDER_HEADER]: "by-hand-0 test" };

export type PlannedInstance = ReturnType<typeof instanceBatchReplySchema.parse>["runner_instances"][number];

/** A provisioner played by the test, call by call over the wire. */
export class HandProvisioner {
  readonly id: string;
  readonly #instance: Instance;
  readonly #token: string;

  private constructor(instance: Instance, id: string, token: string) {
    this.#instance = instance;
    this.id = id;
    this.#token = token;
  }

  static async create(instance: Instance): Promise<HandProvisioner> {
    const { workspaceId } = instance;
    const { id, raw_token: token } = await instance.api.client.provisioners.createToken({ workspaceId });
    return new HandProvisioner(instance, id, token);
  }

  call(path: string, body: unknown): Promise<Answer> {
    return call(this.#instance.plane.url, "POST", `/provisioners/${path}`, {
      token: this.#token,
      body,
      headers: HOLDER,
    });
  }

  /** What is wanted now; one template `small` with these labels is offered. */
  async demand(labels: readonly string[] = ["linux"], slots = 1): Promise<DemandReply> {
    const template = { template_key: "small", labels, available_slots: slots, starting: 0, running: 0 };
    const answer = await this.call("demand/poll", { max_reservations: slots, templates: [template] });
    return demandReplySchema.parse(answer.body);
  }

  /** One instance of the template `small`, with the token of its runner. Without a reservation it is for the idle pool. */
  async plan(reservationId?: string, bootDeadlineSeconds?: number): Promise<PlannedInstance> {
    const answer = await this.call("runner-instances/batch", {
      boot_deadline_seconds: bootDeadlineSeconds,
      runner_instances: [{ template_key: "small", reservation_id: reservationId }],
    });
    const [planned] = instanceBatchReplySchema.parse(answer.body).runner_instances;
    if (!planned) throw new Error(`no instance was planned: ${answer.text}`);
    return planned;
  }
}
