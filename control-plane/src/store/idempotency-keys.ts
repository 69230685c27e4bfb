import { ApiError } from "@shipfox/shared/errors";
import type { AuditEntry, IdempotentCall, WriteTx } from "./store.ts";

const INSERT = `insert into idempotency_keys (caller, route, key, body_hash, nonce, target_type, target_id, created_at)
  values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (caller, route, key) do nothing`;
const NONCE = "select nonce from idempotency_keys where caller = ? and route = ? and key = ?";

/** Thrown inside of the unit that lost to another call with the same key, whose effect is the one that counts. */
export class KeyTakenError extends ApiError {
  constructor() {
    super("idempotency-replay-unavailable", "another call with this Idempotency-Key is being answered; repeat it");
  }
}

/** Writes the key of a call in the transaction of its effect. A call with several entries in the audit log has one key. */
export async function keepKey(
  tx: Pick<WriteTx, "get" | "run">,
  call: IdempotentCall,
  { target }: AuditEntry,
  now: number,
): Promise<void> {
  const { caller, route, key, bodyHash, nonce } = call;
  const inserted = await tx.run(INSERT, [caller, route, key, bodyHash, nonce, target.type, target.id, now]);
  if (inserted === 1) return;
  const row = await tx.get<{ nonce: string }>(NONCE, [caller, route, key]);
  if (row?.nonce !== nonce) throw new KeyTakenError();
}
