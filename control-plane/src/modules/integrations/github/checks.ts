import type { Logger } from "@shipfox/shared/logger";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import type { Clock } from "../../../store/clock.ts";
import { Lru } from "../../../store/lru.ts";
import type { RunEvent, Store } from "../../../store/store.ts";
import type { GitHubApp } from "./app.ts";
import { type CheckRunBody, describeCheckRun, stateOf } from "./check-run.ts";
import {
  type Check,
  type CheckOutcome,
  claimCheck,
  collectChecks,
  concernsChecks,
  listDueChecks,
  listFollowedWorkspaces,
  nextDueCheck,
  settleCheck,
} from "./checks-store.ts";
import { repositoryNumber } from "./sources.ts";

const MAX_CONCURRENT = 4;
const BATCH = 32;
/** Longer than all tries of all calls for one check run: what a crash left is taken up after it. */
const CLAIM_MS = 3 * 60_000;
const FIRST_BACKOFF_MS = 5_000;
const MAX_BACKOFF_MS = 10 * 60_000;
/** Together with the back-off about an hour; then only the job's next change is sent. */
const MAX_ATTEMPTS = 12;
const MAX_KNOWN_NAMES = 1_000;
const MAX_ERROR_CHARS = 500;
/** What does not go away by waiting. */
const PERMANENT: ReadonlySet<string> = new Set([
  "access-denied",
  "installation-not-found",
  "repository-not-found",
  "provider-rejected",
  "malformed-provider-response",
]);

const checkRunSchema = z.object({ id: z.int() });
const checkRunsSchema = z.object({ check_runs: z.array(z.object({ id: z.int(), external_id: z.string().nullish() })) });

export interface ChecksDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly app: GitHubApp;
  /** Under which people reach this server. */
  readonly publicUrl: string;
  /** Something is due at this time: call `runDue` then. */
  readonly arm: (at: number) => void;
}

/**
 * Shows each job of a run on GitHub as a check run of the commit that the run checked out.
 *
 * Runs know nothing of it: it follows their events from a cursor in the database, so that none is missed over a crash, and
 * notes which check runs are due. What is sent is the job's state at that time, so that many changes are one call.
 */
export class Checks {
  readonly #deps: ChecksDeps;
  /** Workspaces with a GitHub connection. */
  readonly #followed = new Set<string>();
  /** Those of them with events that were not looked at yet. */
  readonly #stirred = new Set<string>();
  readonly #names = new Lru<string, string>(MAX_KNOWN_NAMES);

  constructor(deps: ChecksDeps) {
    this.#deps = deps;
  }

  /** Takes up what an earlier process left. */
  async start(): Promise<void> {
    for (const workspaceId of await this.#deps.store.read(listFollowedWorkspaces)) {
      this.#followed.add(workspaceId);
      this.#stirred.add(workspaceId);
    }
  }

  /** The workspace has a GitHub connection from now on. */
  follow(workspaceId: string): void {
    this.#followed.add(workspaceId);
  }

  onRunEvents(events: readonly RunEvent[]): void {
    for (const { workspaceId, type } of events) {
      if (!this.#followed.has(workspaceId) || !concernsChecks(type)) continue;
      this.#stirred.add(workspaceId);
      this.#deps.arm(this.#deps.clock.now());
    }
  }

  /** Sends what is due. Answers when the next check run is. */
  async runDue(): Promise<number | null> {
    const { store, clock } = this.#deps;
    const stirred = [...this.#stirred];
    this.#stirred.clear();
    for (const workspaceId of stirred) await this.#collect(workspaceId);
    const now = clock.now();
    const due = await store.read((tx) => listDueChecks(tx, now, BATCH));
    for (let start = 0; start < due.length; start += MAX_CONCURRENT) {
      await Promise.all(due.slice(start, start + MAX_CONCURRENT).map((jobId) => this.#send(jobId)));
    }
    return store.read(nextDueCheck);
  }

  async #collect(workspaceId: string): Promise<void> {
    const { store, clock } = this.#deps;
    try {
      for (let more = true; more; ) {
        const now = clock.now();
        more = await store.write((tx) => collectChecks(tx, workspaceId, now));
      }
    } catch (error) {
      this.#stirred.add(workspaceId);
      throw error;
    }
  }

  async #send(jobId: string): Promise<void> {
    const { store, clock, publicUrl } = this.#deps;
    const now = clock.now();
    const check = await store.write((tx) => claimCheck(tx, jobId, now, CLAIM_MS));
    if (!check) return;
    const { row } = check;
    const body = describeCheckRun(check.job, publicUrl);
    const isNews = check.isActive && check.commit !== null && stateOf(body) !== row.sent_state;
    const outcome: CheckOutcome = isNews
      ? await this.#tell(check, check.commit, body)
      : { checkRunId: row.check_run_id, sentState: row.sent_state, error: row.last_error, dueAt: null };
    await store.write((tx) => settleCheck(tx, check, outcome));
  }

  async #tell(check: Check, commit: string, body: CheckRunBody): Promise<CheckOutcome> {
    const { clock, log } = this.#deps;
    const { row, job } = check;
    try {
      const checkRunId = await this.#call(check, commit, body);
      return { checkRunId, sentState: stateOf(body), error: null, dueAt: null };
    } catch (error) {
      // The repository may have another name now.
      this.#names.set(row.external_repository_id, "");
      const failure = error instanceof ApiError ? error : new ApiError("server-error", undefined, { cause: error });
      const ends = PERMANENT.has(failure.code) || row.attempts >= MAX_ATTEMPTS;
      const facts = { job: job.jobId, run: job.runId, repository: row.external_repository_id, attempt: row.attempts };
      if (failure.code === "server-error") log.error({ err: error, ...facts }, "a check run failed unexpectedly");
      else if (ends) log.warn({ ...facts, reason: failure.message }, "a job's state cannot be shown on GitHub");
      const dueAt = ends ? null : clock.now() + backoff(row.attempts, failure);
      const message = `${failure.code}: ${failure.message}`.slice(0, MAX_ERROR_CHARS);
      return { checkRunId: row.check_run_id, sentState: row.sent_state, error: message, dueAt };
    }
  }

  /** Answers the number of the check run that shows the job now. */
  async #call(check: Check, commit: string, body: CheckRunBody): Promise<number> {
    const { app } = this.#deps;
    const { row, installationId } = check;
    const repositoryId = repositoryNumber(row.external_repository_id);
    const { token } = await app.token({ installationId, repositoryId, permissions: { checks: "write" } });
    const path = `/repos/${await this.#nameOf(row.external_repository_id, token, repositoryId)}`;
    // An earlier try may have made it and lost the answer.
    const isUnsure = row.attempts > 1 || row.last_error !== null;
    const known = row.check_run_id ?? (isUnsure ? await this.#find(path, token, commit, body) : null);
    const request =
      known === null
        ? ({
            method: "POST",
            path: `${path}/check-runs`,
            body: { ...body, head_sha: commit },
            repeatable: false,
          } as const)
        : ({ method: "PATCH", path: `${path}/check-runs/${known}`, body } as const);
    return (await app.api.call({ ...request, token, notFound: "repository-not-found" }, checkRunSchema)).id;
  }

  async #find(path: string, token: string, commit: string, body: CheckRunBody): Promise<number | null> {
    const query = new URLSearchParams({ check_name: body.name, filter: "all", per_page: "100" });
    const list = { method: "GET", path: `${path}/commits/${commit}/check-runs?${query.toString()}`, token } as const;
    const { check_runs: found } = await this.#deps.app.api.call(list, checkRunsSchema);
    return found.find((run) => run.external_id === body.external_id)?.id ?? null;
  }

  async #nameOf(externalId: string, token: string, repositoryId: number): Promise<string> {
    const known = this.#names.get(externalId);
    if (known) return known;
    const { owner, name } = await this.#deps.app.repository(token, repositoryId);
    this.#names.set(externalId, `${owner.login}/${name}`);
    return `${owner.login}/${name}`;
  }
}

/** At least what GitHub asked for; doubled at each attempt, spread by half, so that not all come back together. */
function backoff(attempt: number, { code, details }: ApiError): number {
  const asked = code === "rate-limited" ? (details as { retry_after_seconds: number }).retry_after_seconds * 1000 : 0;
  const own = Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 1), MAX_BACKOFF_MS);
  return Math.round(Math.max(asked, own) * (1 + Math.random() / 2));
}
