import type { InstanceRecord } from "../control-plane/client.ts";

/** Finds the instances whose machine was taken away from its job, each once. */
export class Losses {
  private readonly told = new Set<string>();

  /**
   * `former` are the records of the last comparison, `absent` the ids that this one ended because the provider has them no more: with
   * a job in `former` they took it with them.
   */
  find(
    records: ReadonlyMap<string, InstanceRecord>,
    former: ReadonlyMap<string, InstanceRecord>,
    absent: readonly string[],
  ): InstanceRecord[] {
    for (const id of this.told) if (!records.has(id)) this.told.delete(id);
    const vanished = absent.flatMap((id) => former.get(id) ?? []).filter(({ bound_job: job }) => job !== null);
    const found = [...[...records.values()].filter(({ lost_job: isLost }) => isLost), ...vanished];
    return found.filter(({ runner_instance_id: id }) => {
      if (this.told.has(id)) return false;
      this.told.add(id);
      return true;
    });
  }
}
