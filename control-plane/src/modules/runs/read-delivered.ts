import type { JobExecution } from "@shipfox/shared/api/runs";
import type { ListenerEventRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { SHOWN_PAYLOAD_BYTES } from "./listener-model.ts";

/** Events of one job that are shown, the newest. */
const MAX_SHOWN_EVENTS = 2_000;

type DeliveredEvent = JobExecution["trigger_events"][number];
type Delivered = Pick<ListenerEventRow, "event_id" | "received_at" | "bytes" | "facts"> & { readonly firing: number };

const DELIVERED = `select event_id, received_at, bytes, facts, firing from listener_events where job_id = ? and firing >= ?
  order by received_at desc, event_id desc limit ${MAX_SHOWN_EVENTS}`;
const PAYLOADS = `select event_id, data from listener_events
  where job_id = ? and firing >= ? and (received_at, event_id) >= (?, ?)`;

/** What a listening job gave to its executions from the firing `first` on, by their firing, in the order of receipt. */
export async function readDelivered(tx: Tx, jobId: string, first: number): Promise<Map<number, DeliveredEvent[]>> {
  const rows = await tx.all<Delivered>(DELIVERED, [jobId, first]);
  let bytes = 0;
  const oldest = rows.filter((row) => (bytes += row.bytes) <= SHOWN_PAYLOAD_BYTES).at(-1);
  const payloads = oldest
    ? await tx.all<{ event_id: string; data: string }>(PAYLOADS, [jobId, first, oldest.received_at, oldest.event_id])
    : [];
  const data = new Map(payloads.map((row) => [row.event_id, row.data]));
  const eventOf = ({ event_id: id, facts }: Delivered): DeliveredEvent => ({
    ...(JSON.parse(facts) as Omit<DeliveredEvent, "data">),
    data: JSON.parse(data.get(id) ?? "null"),
  });
  const byFiring = Map.groupBy(rows.toReversed(), ({ firing }) => firing);
  return new Map([...byFiring].map(([firing, events]) => [firing, events.map(eventOf)]));
}
