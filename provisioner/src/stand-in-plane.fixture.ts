import { newId } from "@shipfox/shared/ids";
import type { DemandReply } from "@shipfox/shared/provisioner";
import type { ControlPlane, InstanceEvent, InstanceRecord } from "./control-plane/client.ts";
import { hasEnded } from "./fleet.ts";

type Changeable = { -readonly [Key in keyof InstanceRecord]: InstanceRecord[Key] };

/** What the control plane keeps of instances, in memory; jobs are a number. */
export class StandInPlane implements ControlPlane {
  readonly records = new Map<string, Changeable>();
  readonly events: InstanceEvent[] = [];
  readonly lists: { observed: readonly string[]; confirmedEmpty: boolean }[] = [];
  jobs = 0;
  /** Thrown by every call while it is set. */
  fault: Error | null = null;
  hasLetGo = false;
  /** Ends the records of machines that no list shows, as the control plane does after a while. */
  endsAbsent = false;

  async me() {
    return { id: "token-1", scope: "workspace" as const, workspace_id: "w", name: null };
  }

  async pollDemand(poll: Parameters<ControlPlane["pollDemand"]>[0], signal: AbortSignal): Promise<DemandReply> {
    if (this.fault) throw this.fault;
    const coming = [...this.records.values()].filter((one) => !hasEnded(one) && one.bound_job === null).length;
    const count = Math.min(poll.maxReservations, this.jobs - coming);
    if (count <= 0)
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve());
        setTimeout(resolve, 20);
      });
    const labels = [...(poll.templates[0]?.labels ?? [])];
    const reserved = { reservation_id: newId(), labels, capabilities: [], count, expires_at: new Date().toISOString() };
    const unwanted = [...this.records.values()].filter((one) => !hasEnded(one) && one.desired_intent === "terminate");
    return {
      stats: [],
      unmatched: [],
      reservations: count > 0 ? [reserved] : [],
      terminate: unwanted.map(({ runner_instance_id, provider_runner_id }) => ({
        runner_instance_id,
        provider_runner_id,
        reason: "finished",
      })),
    };
  }

  async planInstances(batch: Parameters<ControlPlane["planInstances"]>[0]) {
    if (this.fault) throw this.fault;
    return batch.instances.map(({ template_key }, index) => {
      const id = newId();
      this.records.set(id, {
        runner_instance_id: id,
        provider_runner_id: null,
        template_key,
        state: "planned",
        registered: false,
        claimed: false,
        bound_job: null,
        lost_job: false,
        desired_intent: "keep",
      });
      return { runner_instance_id: id, registration_token: `sf_ert_${id}`, expires_at: "", request_index: index };
    });
  }

  async report(events: readonly InstanceEvent[]): Promise<void> {
    for (const event of events) {
      this.events.push(event);
      const record = this.records.get(event.runner_instance_id);
      if (!record || hasEnded(record)) continue;
      record.state = event.state;
      record.provider_runner_id = event.provider_runner_id ?? record.provider_runner_id;
      if (hasEnded(record)) record.desired_intent = "terminate";
    }
  }

  async reconcile(seen: { observed: readonly string[]; confirmedEmpty: boolean }) {
    if (this.fault) throw this.fault;
    this.lists.push(seen);
    const absent =
      this.endsAbsent && (seen.observed.length > 0 || seen.confirmedEmpty) ? this.absentFrom(seen.observed) : [];
    for (const record of absent) Object.assign(record, { state: "terminated", desired_intent: "terminate" });
    const runners = [...this.records.values()].filter(
      (one) => !hasEnded(one) || seen.observed.includes(one.runner_instance_id),
    );
    return {
      runners: runners.map((one) => ({ ...one })),
      unknown_runner_instance_ids: [],
      terminated_absent_runner_instance_ids: absent.map(({ runner_instance_id: id }) => id),
    };
  }

  private absentFrom(observed: readonly string[]): Changeable[] {
    return [...this.records.values()].filter(
      (one) => !hasEnded(one) && one.bound_job === null && !observed.includes(one.runner_instance_id),
    );
  }

  async drain(ids: readonly string[]) {
    const isBusy = (id: string) => (this.records.get(id)?.bound_job ?? null) !== null;
    const drained = ids.filter((id) => !isBusy(id));
    for (const id of drained) Object.assign(this.records.get(id) ?? {}, { desired_intent: "terminate" });
    return { drained, busy: ids.filter(isBusy), unknown: [] };
  }

  async letGo(): Promise<void> {
    this.hasLetGo = true;
  }
}
