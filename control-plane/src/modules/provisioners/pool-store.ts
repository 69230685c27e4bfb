import { ApiError } from "@shipfox/shared/errors";
import type { AdvertisedTemplate } from "@shipfox/shared/provisioner";
import { hashToken } from "@shipfox/shared/tokens";
import type { ProvisionerPoolRow, ProvisionerTokenRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** A daemon speaks for its provisioner for so long after each call. */
const HOLD_MS = 90_000;
/** What was said of templates counts for so long. */
export const ADVERTISED_MS = 120_000;
const SEEN_INTERVAL_MS = 10_000;

const BY_HASH = "select * from provisioner_tokens where token_hash = ?";
const SEEN =
  "update provisioner_tokens set last_seen_at = ? where id = ? and (last_seen_at is null or last_seen_at < ?)";

/** The provisioner whose token it is. Throws 401 `unauthorized`, `provisioner-token-revoked`, `provisioner-token-expired`. */
export async function findProvisioner(tx: Tx, token: string, now: number): Promise<ProvisionerTokenRow> {
  const row = await tx.get<ProvisionerTokenRow>(BY_HASH, [hashToken(token)]);
  if (!row) throw new ApiError("unauthorized", "the provisioner token is not known here; make a new one");
  if (row.revoked_at !== null)
    throw new ApiError("provisioner-token-revoked", "the provisioner token was revoked; make a new one");
  if (row.expires_at !== null && row.expires_at <= now)
    throw new ApiError("provisioner-token-expired", "the provisioner token has expired; make a new one");
  return row;
}

/** As `findProvisioner`, and remembers that it was heard from. */
export async function seeProvisioner(tx: WriteTx, token: string, now: number): Promise<ProvisionerTokenRow> {
  const row = await findProvisioner(tx, token, now);
  await tx.run(SEEN, [now, row.id, now - SEEN_INTERVAL_MS]);
  return row;
}

export interface Holder {
  readonly id: string;
  readonly host: string;
}

const POOL = "select * from provisioner_pools where provisioner_id = ?";
const MAKE_POOL = `insert into provisioner_pools (provisioner_id, workspace_id, templates, advertised_at) values (?, ?, '[]', 0)
  on conflict (provisioner_id) do nothing`;
const HOLD = `update provisioner_pools set holder_id = ?, holder_host = ?, held_until = ?
  where provisioner_id = ? and (holder_id is null or holder_id = ? or held_until <= ?)`;
const LET_GO =
  "update provisioner_pools set holder_id = null, holder_host = null, held_until = null where provisioner_id = ? and holder_id = ?";
const ADVERTISE = "update provisioner_pools set templates = ?, advertised_at = ? where provisioner_id = ?";

export function findPool(tx: Tx, provisionerId: string): Promise<ProvisionerPoolRow | undefined> {
  return tx.get<ProvisionerPoolRow>(POOL, [provisionerId]);
}

/**
 * Lets one daemon speak for the provisioner: the first, until it has been silent for a while. Without a holder, as of a
 * client that is not ours, nobody is kept out. Throws 409 `provisioner-pool-held`.
 */
export async function holdPool(
  tx: WriteTx,
  provisioner: Pick<ProvisionerTokenRow, "id" | "workspace_id">,
  holder: Holder | null,
  now: number,
): Promise<void> {
  await tx.run(MAKE_POOL, [provisioner.id, provisioner.workspace_id]);
  if (holder === null) return;
  const held = await tx.run(HOLD, [holder.id, holder.host, now + HOLD_MS, provisioner.id, holder.id, now]);
  if (held > 0) return;
  const pool = await findPool(tx, provisioner.id);
  throw new ApiError(
    "provisioner-pool-held",
    `the provisioner on ${pool?.holder_host ?? "another host"} works with this token; stop it, or use a token of your own`,
    { details: { host: pool?.holder_host ?? null, until: new Date(pool?.held_until ?? now).toISOString() } },
  );
}

/** The daemon stops: the next one need not wait. */
export async function letGoOfPool(tx: WriteTx, provisionerId: string, holder: Holder): Promise<void> {
  await tx.run(LET_GO, [provisionerId, holder.id]);
}

export async function advertise(
  tx: WriteTx,
  provisionerId: string,
  templates: readonly AdvertisedTemplate[],
  now: number,
): Promise<void> {
  await tx.run(ADVERTISE, [JSON.stringify(templates), now, provisionerId]);
}

export function templatesOf(pool: Pick<ProvisionerPoolRow, "templates">): AdvertisedTemplate[] {
  return JSON.parse(pool.templates) as AdvertisedTemplate[];
}

const LIVE_POOLS = `select p.* from provisioner_pools p join provisioner_tokens t on t.id = p.provisioner_id
  where p.workspace_id = ? and p.advertised_at > ? and t.revoked_at is null`;

/** What the provisioners of a workspace said lately. */
export function livePools(tx: Tx, workspaceId: string, now: number): Promise<ProvisionerPoolRow[]> {
  return tx.all<ProvisionerPoolRow>(LIVE_POOLS, [workspaceId, now - ADVERTISED_MS]);
}

/** On PostgreSQL the pools are the lock of a workspace's demand, taken in one order; on SQLite the writer is the lock. */
export async function lockPools(tx: WriteTx, forUpdate: string, workspaceId: string): Promise<void> {
  if (forUpdate === "") return;
  await tx.all(
    `select provisioner_id from provisioner_pools where workspace_id = ? order by provisioner_id${forUpdate}`,
    [workspaceId],
  );
}
