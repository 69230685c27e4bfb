import type { ReservationRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const INSERT = `insert into reservations (id, workspace_id, provisioner_id, label_set_id, labels, capabilities, count, expires_at)
  values (?, ?, ?, ?, ?, ?, ?, ?)`;
const OPEN = "select * from reservations where workspace_id = ? and expires_at > ?";
const USE = `update reservations set count = count - 1
  where id = ? and provisioner_id = ? and expires_at > ? and count > 0 returning *`;
const USED_UP = "delete from reservations where id = ? and count = 0";
const DROP = "delete from reservations where id = ?";
const EXPIRED = "delete from reservations where expires_at <= ?";
const OF_PROVISIONER = "delete from reservations where provisioner_id = ?";

export async function insertReservation(tx: WriteTx, row: ReservationRow): Promise<void> {
  const { id, workspace_id, provisioner_id, label_set_id, labels, capabilities, count, expires_at } = row;
  await tx.run(INSERT, [id, workspace_id, provisioner_id, label_set_id, labels, capabilities, count, expires_at]);
}

/** Of all provisioners of a workspace. */
export function openReservations(tx: Tx, workspaceId: string, now: number): Promise<ReservationRow[]> {
  return tx.all<ReservationRow>(OPEN, [workspaceId, now]);
}

/** Takes one instance out of a reservation; undefined when it has expired, is used up or is somebody else's. */
export async function useReservation(
  tx: WriteTx,
  reservationId: string,
  provisionerId: string,
  now: number,
): Promise<ReservationRow | undefined> {
  const row = await tx.get<ReservationRow>(USE, [reservationId, provisionerId, now]);
  if (row?.count === 0) await tx.run(USED_UP, [reservationId]);
  return row;
}

export async function dropReservation(tx: WriteTx, reservationId: string): Promise<void> {
  await tx.run(DROP, [reservationId]);
}

export async function dropExpired(tx: WriteTx, now: number): Promise<void> {
  await tx.run(EXPIRED, [now]);
}

export async function dropReservationsOf(tx: WriteTx, provisionerId: string): Promise<void> {
  await tx.run(OF_PROVISIONER, [provisionerId]);
}
