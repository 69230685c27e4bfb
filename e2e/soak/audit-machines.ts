import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import type { MachineProvider } from "../src/machines/machine-provider.ts";
import type { Machine } from "../src/machines/machine.ts";
import { processesBelow } from "../src/processes.ts";

export interface MachineFindings {
  /** Jobs that lost their machine, and it was not the soak that took it. */
  readonly killed: string[];
  readonly leaked: string[];
  readonly doubled: string[];
}

interface LeaseRow {
  readonly job_id: string;
  readonly instance_id: string | null;
  readonly claimed_at: number;
  readonly ended_at: number | null;
  readonly end_reason: string | null;
}

const LEASES = `SELECT l.job_id, i.id AS instance_id, l.claimed_at, l.ended_at, l.end_reason
  FROM leases l LEFT JOIN runner_instances i ON i.session_id = l.session_id ORDER BY l.fence`;
const OPEN_INSTANCES = "SELECT id, state, terminate_reason FROM runner_instances WHERE ended_at IS NULL";
const RESERVATIONS = "SELECT id, count FROM reservations";

/** A question to the provider that nobody waits for any more ends by then. */
const LAST_PROCESS_LIMIT_MS = 60_000;

/** Goes through every machine there was. The control plane must be stopped, and the provisioner drained. */
export async function auditMachines(plane: ControlPlane, provider: MachineProvider): Promise<MachineFindings> {
  const processes = await processesLeft(provider.folder);
  const database = recordsOf(plane);
  try {
    const leases = database.prepare(LEASES).all() as unknown as LeaseRow[];
    const rows = (query: string) =>
      database
        .prepare(query)
        .all()
        .map((row) => JSON.stringify(row));
    return {
      killed: killed(leases, provider.history),
      doubled: doubled(leases, provider.history),
      leaked: [
        ...rows(OPEN_INSTANCES).map((row) => `instance ${row} is open in the records`),
        ...rows(RESERVATIONS).map((row) => `reservation ${row} is in the records`),
        ...[...provider.machines.keys()].map((id) => `machine ${id} is at the provider`),
        ...processes.map((id) => `process ${id} lives`),
      ],
    };
  } finally {
    database.close();
  }
}

/** How many reservations are in the records, also of a control plane that runs. */
export function countReservations(plane: ControlPlane): number {
  const database = recordsOf(plane);
  try {
    return database.prepare(RESERVATIONS).all().length;
  } finally {
    database.close();
  }
}

function recordsOf(plane: ControlPlane): DatabaseSync {
  return new DatabaseSync(join(plane.dataDir, "shipfox.db"), { readOnly: true });
}

async function processesLeft(folder: string): Promise<number[]> {
  const isEmpty = async () => (await processesBelow(folder)).length === 0;
  await eventually("no process is left", isEmpty, { limitMs: LAST_PROCESS_LIMIT_MS }).catch(() => undefined);
  return processesBelow(folder);
}

/** No machine is deleted while its job's lease lives, and none of the others loses its job. */
function killed(leases: readonly LeaseRow[], machines: readonly Machine[]): string[] {
  const byInstance = new Map(machines.map((machine) => [machine.order.tags.instance, machine]));
  const ofJobs = leases.flatMap((lease) => {
    const machine = byInstance.get(lease.instance_id ?? "");
    const where = `job ${lease.job_id} on machine ${machine?.providerId}`;
    if (!machine) return [`job ${lease.job_id}: its runner was in no machine of the provider`];
    const { deletedAt, lostAt } = machine;
    const until = lease.ended_at ?? Number.POSITIVE_INFINITY;
    // Its runner was killed while its claim waited: the job was given to a dead one, and what is over may be deleted.
    if (lostAt !== null && lostAt <= Math.min(until, deletedAt ?? until)) return [];
    if (deletedAt !== null && lease.claimed_at <= deletedAt && deletedAt < until)
      return [`${where}: the machine was deleted under it`];
    if (lease.end_reason === "finished") return [];
    return [`${where}: its lease ended as ${lease.end_reason}, and nobody had killed its runner`];
  });
  const busy = machines.filter(({ wasBusyWhenDeleted, lostAt }) => wasBusyWhenDeleted && lostAt === null);
  return [...ofJobs, ...busy.map(({ providerId }) => `machine ${providerId}: a step ran in it when it was deleted`)];
}

/** One machine for an instance, and one job for a machine. */
function doubled(leases: readonly LeaseRow[], machines: readonly Machine[]): string[] {
  const instances = machines.map(({ order: { tags } }) => tags.instance);
  const claims = leases.flatMap(({ instance_id: id }) => (id === null ? [] : [id]));
  return [
    ...repeated(instances).map((id) => `instance ${id} had two machines`),
    ...repeated(claims).map((id) => `instance ${id} was given two jobs`),
  ];
}

function repeated(ids: readonly string[]): string[] {
  return ids.filter((id, index) => ids.indexOf(id) !== index);
}
