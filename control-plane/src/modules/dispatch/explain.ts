import type { Waiting } from "@shipfox/shared/api/runs";
import { labelsSatisfy } from "@shipfox/shared/labels";
import type { ExplainWaiting, WaitingPort } from "../runs/public.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Session } from "./sessions.ts";

type Entry = Parameters<ExplainWaiting>[0];

/** Different faults that one message names. */
const MAX_REASONS = 3;
const REGISTERED = "select count(*) as count from runners where workspace_id = ? and revoked_at is null";

/** Answers "why is it waiting" from the sessions in memory; the queue is never scanned. */
export function createWaitingPort(dispatch: Dispatch): WaitingPort {
  return {
    explainIn: (tx) => async (entry) => {
      const online = dispatch.sessions.online(entry.workspaceId, dispatch.deps.clock.now());
      const registered =
        online.length > 0
          ? online.length
          : ((await tx.get<{ count: number }>(REGISTERED, [entry.workspaceId]))?.count ?? 0);
      return explainQueued(entry, online, registered);
    },
  };
}

/** Pure: what the runners of the workspace say about one queued job. */
export function explainQueued(entry: Entry, online: readonly Session[], registered: number): Waiting {
  const labelled = online.filter((session) => labelsSatisfy(session.labels, entry.labels));
  const able = labelled.filter((session) =>
    entry.capabilities.every((capability) => session.capabilities.has(capability)),
  );
  const healthy = able.filter((session) => session.fault === null);
  const busy = healthy.filter((session) => session.parkedClaims === 0);
  const base = {
    since: new Date(entry.since).toISOString(),
    labels: [...entry.labels],
    runners: { matching: able.length, online: online.length, busy: busy.length },
  };
  const wanted = entry.labels.join(", ");
  if (registered === 0)
    return {
      ...base,
      reason: "no_runner_registered",
      message: "the workspace has no runner; `shipfox runners add` shows how to start one",
    };
  if (online.length === 0)
    return {
      ...base,
      reason: "no_runner_online",
      message: "no runner of the workspace is online; start one, or look at its log",
    };
  if (labelled.length === 0) {
    const missing = fewestMissing(online, entry.labels);
    return {
      ...base,
      reason: "labels_unmatched",
      missing_labels: missing,
      message: `no online runner has all of the labels ${wanted}; missing on the nearest one: ${missing.join(", ")}`,
    };
  }
  if (able.length === 0) {
    const missing = fewestLacking(labelled, entry.capabilities);
    return {
      ...base,
      reason: "capability_missing",
      message: `no online runner with the labels ${wanted} can do all that the job needs; the nearest one lacks the capability ${missing.map(describeCapability).join(" and ")}: start a runner with the docker sandbox`,
    };
  }
  if (healthy.length === 0) {
    const reasons = new Set(able.map((session) => session.fault?.reason));
    return {
      ...base,
      reason: "runners_unhealthy",
      message: `all runners that match are unhealthy: ${[...reasons].slice(0, MAX_REASONS).join("; ")}`,
    };
  }
  if (busy.length === healthy.length)
    return { ...base, reason: "all_runners_busy", message: `all ${healthy.length} matching runners are busy` };
  return { ...base, reason: "fair_share", message: "a matching runner is free; the job's turn comes next" };
}

/** What each asks of a runner, as it is written in a workflow. */
const WRITTEN_AS: Readonly<Record<string, string>> = {
  image: "an image of the job's own",
  services: "services beside the steps",
  network: "network: none",
  files: "artifacts and caches",
};

function describeCapability(capability: string): string {
  const written = WRITTEN_AS[capability];
  return written === undefined ? capability : `${capability} (${written})`;
}

function fewestLacking(sessions: readonly Session[], needed: readonly string[]): string[] {
  const lacking = sessions.map((session) => needed.filter((capability) => !session.capabilities.has(capability)));
  return lacking.reduce((fewest, own) => (own.length < fewest.length ? own : fewest));
}

function fewestMissing(online: readonly Session[], labels: readonly string[]): string[] {
  const missing = online.map((session) => labels.filter((label) => !session.labels.has(label)));
  return missing.reduce((fewest, own) => (own.length < fewest.length ? own : fewest));
}
