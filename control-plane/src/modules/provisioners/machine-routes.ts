import { ApiError } from "@shipfox/shared/errors";
import {
  demandBodySchema,
  demandReplySchema,
  drainInstancesBodySchema,
  drainInstancesReplySchema,
  HOLDER_HEADER,
  HOLDER_PATTERN,
  instanceBatchBodySchema,
  instanceBatchReplySchema,
  instanceReportBodySchema,
  instanceReportReplySchema,
  provisionerReplySchema,
  reconcileBodySchema,
  reconcileReplySchema,
} from "@shipfox/shared/provisioner";
import { type RequestFacts, type Route, route } from "../../http/route.ts";
import type { ProvisionerTokenRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { drainInstances, endAbsent, freshInstances, planInstances, reportInstances } from "./instances.ts";
import { presentRecord, recordsOf } from "./reconcile.ts";
import { type PollDeps, pollDemand } from "./poll-demand.ts";
import { findProvisioner, type Holder, holdPool, letGoOfPool, seeProvisioner } from "./pool-store.ts";

const TAG = "Machine: provisioners";
const NO_STORE = { "cache-control": "no-store" };
const SECOND_MS = 1_000;
const REFUSALS = ["provisioner-token-revoked", "provisioner-token-expired"] as const;
const BATCH_BODY_BYTES = 8 * 1024 * 1024;

/** What provisioners call. Each call that changes something is made by the daemon that holds the pool. */
export function createProvisionerMachineRoutes(deps: PollDeps): Route[] {
  const { store, clock, dispatch } = deps;
  const ports = { dispatch, forUpdate: store.sql.forUpdate };

  const change = <T>(
    token: string,
    request: RequestFacts,
    work: (tx: WriteTx, provisioner: ProvisionerTokenRow, now: number) => Promise<T>,
  ): Promise<T> => {
    const now = clock.now();
    const holder = holderOf(request);
    return store.write(async (tx) => {
      const provisioner = await seeProvisioner(tx, token, now);
      await holdPool(tx, provisioner, holder, now);
      return work(tx, provisioner, now);
    });
  };

  return [
    route({
      method: "GET",
      path: "/provisioners/me",
      tag: TAG,
      summary: "Who the token is good for",
      credential: "provisioner",
      responses: { 200: provisionerReplySchema },
      errors: REFUSALS,
      handle: async ({ principal }) => {
        const row = await store.read((tx) => findProvisioner(tx, principal.token, clock.now()));
        return {
          status: 200,
          body: { id: row.id, scope: "workspace", workspace_id: row.workspace_id, name: row.name },
        };
      },
    }),
    route({
      method: "POST",
      path: "/provisioners/demand/poll",
      tag: TAG,
      summary: "Tell what could be started, and wait for what should be started or removed",
      credential: "provisioner",
      body: demandBodySchema,
      bodyLimitBytes: BATCH_BODY_BYTES,
      responses: { 200: demandReplySchema },
      errors: [...REFUSALS, "provisioner-pool-held"],
      handle: async ({ principal, body, request }) => ({
        status: 200,
        body: await pollDemand(deps, {
          token: principal.token,
          holder: holderOf(request),
          templates: body.templates,
          maxReservations: body.max_reservations,
          reservationMs: body.reservation_ttl_seconds * SECOND_MS,
          waitMs: body.wait_seconds * SECOND_MS,
          signal: request.signal,
        }),
      }),
    }),
    route({
      method: "POST",
      path: "/provisioners/runner-instances/batch",
      tag: TAG,
      summary: "Record instances before they are created; each gets a token with which its runner registers once",
      credential: "provisioner",
      body: instanceBatchBodySchema,
      responses: { 200: instanceBatchReplySchema },
      errors: [...REFUSALS, "provisioner-pool-held", "template-not-advertised"],
      handle: async ({ principal, body, request }) => {
        const fresh = freshInstances(body.runner_instances.length, clock.now());
        const { planned, refused } = await change(principal.token, request, (tx, provisioner, now) =>
          planInstances(
            tx,
            provisioner,
            {
              providerKind: body.provider_kind ?? null,
              bootMs: body.boot_deadline_seconds * SECOND_MS,
              instances: body.runner_instances,
              fresh,
            },
            now,
          ),
        );
        const earliest = planned.map(({ expiresAt }) => expiresAt)[0];
        if (earliest !== undefined) deps.armDue(earliest);
        return {
          status: 200,
          headers: NO_STORE,
          body: {
            runner_instances: planned.map(({ id: instanceId, token, expiresAt, index }) => ({
              runner_instance_id: instanceId,
              registration_token: token,
              expires_at: new Date(expiresAt).toISOString(),
              request_index: index,
            })),
            ...(refused ? { reservation_unavailable: true } : {}),
          },
        };
      },
    }),
    route({
      method: "POST",
      path: "/provisioners/runner-instances/report",
      tag: TAG,
      summary: "Tell what became of instances; safe to repeat, in any order",
      credential: "provisioner",
      body: instanceReportBodySchema,
      bodyLimitBytes: BATCH_BODY_BYTES,
      responses: { 200: instanceReportReplySchema },
      errors: [...REFUSALS, "provisioner-pool-held"],
      handle: async ({ principal, body, request }) => {
        const { accepted, unknown } = await change(principal.token, request, (tx, provisioner, now) =>
          reportInstances(tx, ports, provisioner, body.events, now),
        );
        return { status: 200, body: { accepted, unknown_runner_instance_ids: unknown } };
      },
    }),
    route({
      method: "POST",
      path: "/provisioners/runner-instances/reconcile",
      tag: TAG,
      summary: "Compare what the provider has with what is recorded",
      credential: "provisioner",
      body: reconcileBodySchema,
      bodyLimitBytes: BATCH_BODY_BYTES,
      responses: { 200: reconcileReplySchema },
      errors: [...REFUSALS, "provisioner-pool-held"],
      handle: async ({ principal, body, request }) => {
        const observed = new Set(body.observed_runner_instance_ids);
        const reply = await change(principal.token, request, async (tx, provisioner, now) => {
          const seen = { observed, confirmedEmpty: body.confirmed_empty };
          const ended = await endAbsent(tx, dispatch, provisioner, seen, now);
          return { ended, ...(await recordsOf(tx, provisioner.id, observed)) };
        });
        return {
          status: 200,
          body: {
            runners: reply.records.map(presentRecord),
            unknown_runner_instance_ids: reply.unknown,
            terminated_absent_runner_instance_ids: reply.ended,
          },
        };
      },
    }),
    route({
      method: "POST",
      path: "/provisioners/runner-instances/drain",
      tag: TAG,
      summary: "Take instances out of service that have not been given a job",
      credential: "provisioner",
      body: drainInstancesBodySchema,
      responses: { 200: drainInstancesReplySchema },
      errors: [...REFUSALS, "provisioner-pool-held"],
      handle: async ({ principal, body, request }) => ({
        status: 200,
        body: await change(principal.token, request, (tx, provisioner, now) =>
          drainInstances(tx, ports, provisioner, body.runner_instance_ids, now),
        ),
      }),
    }),
    route({
      method: "DELETE",
      path: "/provisioners/pool",
      tag: TAG,
      summary: "Stop to speak for the provisioner, so that another daemon need not wait",
      credential: "provisioner",
      responses: { 204: null },
      errors: REFUSALS,
      handle: async ({ principal, request }) => {
        const holder = holderOf(request);
        await store.write(async (tx) => {
          const provisioner = await findProvisioner(tx, principal.token, clock.now());
          if (holder) await letGoOfPool(tx, provisioner.id, holder);
        });
        return { status: 204 };
      },
    }),
  ];
}

/** Throws 400 `validation-error`. */
function holderOf(request: RequestFacts): Holder | null {
  const header = request.header(HOLDER_HEADER);
  if (header === undefined) return null;
  const [, holderId, host] = HOLDER_PATTERN.exec(header) ?? [];
  if (holderId === undefined || host === undefined)
    throw new ApiError(
      "validation-error",
      `[headers] ${HOLDER_HEADER}: must be an id of 8 to 64 characters, a space and the name of the host`,
    );
  return { id: holderId, host };
}
