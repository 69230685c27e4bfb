import type { Client } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import type { Home } from "@shipfox/shared/api/home";
import type { Runner } from "@shipfox/shared/api/runners";
import type { Membership } from "@shipfox/shared/api/workspaces";
import { VERSION } from "@shipfox/shared/version";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { isOnline } from "../choose.ts";
import { CliError } from "../cli-error.ts";
import { openClient, type Session } from "../session.ts";
import { duration } from "../render/time.ts";

const SERVER_TIMEOUT_MS = 10_000;
const GIT_TIMEOUT_MS = 10_000;
/** Signed tokens and expiries begin to go wrong; the same is asked of runners. */
const MAX_SKEW_MS = 30_000;
/** `Date` has whole seconds. */
const DATE_RESOLUTION_MS = 1_000;

export interface Finding {
  readonly name: string;
  readonly status: "ok" | "warning" | "failed";
  readonly message: string;
  /** The command, or the act, that mends it. */
  readonly next?: string;
}

export interface ServerLook {
  readonly findings: readonly Finding[];
  readonly isThere: boolean;
}

/** Whether the control plane answers, which version it has and what its clock says. */
export async function lookAtServer(url: string): Promise<ServerLook> {
  const sentAt = Date.now();
  let reply: { headers: Headers; body: Home };
  try {
    reply = await openClient(url).server.about.reply(undefined, { timeoutMs: SERVER_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const next = `curl -sS ${url}/readyz; another server: shipfox login --url <address>`;
    return { isThere: false, findings: [{ name: "server", status: "failed", message: error.message, next }] };
  }
  const answeredAt = Date.now();
  const message = `${url} answers in ${duration(answeredAt - sentAt)}`;
  const findings: Finding[] = [{ name: "server", status: "ok", message }, compareVersions(url, reply.body.version)];
  const clock = compareClocks(reply.headers.get("date"), (sentAt + answeredAt) / 2);
  return { isThere: true, findings: clock === null ? findings : [...findings, clock] };
}

/** Client and server of one minor version know the same API. */
export function compareVersions(url: string, server: string, own: string = VERSION): Finding {
  const name = "version";
  if (server === own) return { name, status: "ok", message: `${own}, as the control plane` };
  const [ours, theirs] = [own, server].map((version) => version.split(".").slice(0, 2).join("."));
  const message = `this command is ${own}, the control plane ${server}`;
  if (ours === theirs) return { name, status: "ok", message };
  const next = `curl -fsSL ${url}/install.sh | sudo sh -s -- cli --url ${url}`;
  return { name, status: "warning", message, next };
}

/** Null when the answer had no date. `now` is this machine's clock at the middle of the exchange. */
export function compareClocks(date: string | null, now: number): Finding | null {
  const theirs = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(theirs)) return null;
  const skew = Math.round(now - (theirs + DATE_RESOLUTION_MS / 2));
  const name = "clock";
  if (Math.abs(skew) <= MAX_SKEW_MS) return { name, status: "ok", message: "agrees with the control plane's" };
  const message = `this machine is ${duration(Math.abs(skew))} ${skew > 0 ? "ahead of" : "behind"} the control plane`;
  return { name, status: "failed", message, next: "set the clock of the one that is wrong: timedatectl set-ntp true" };
}

/** Whether the stored credentials are still taken. */
export async function lookAtCredentials({ api, url, context }: Session): Promise<Finding> {
  const name = "credentials";
  try {
    const { user } = await api.auth.me();
    return { name, status: "ok", message: `${user.email} (context ${context})` };
  } catch (error) {
    if (!(error instanceof ClientError || error instanceof CliError)) throw error;
    const next = error instanceof CliError ? error.next[0] : undefined;
    return { name, status: "failed", message: error.message, next: next ?? `shipfox login --url ${url}` };
  }
}

/** Of every active workspace of the account: whether there is a runner that can take jobs. */
export async function lookAtRunners(api: Client): Promise<Finding[]> {
  let all: Membership[];
  try {
    ({ memberships: all } = await api.workspaces.list());
  } catch (error) {
    return [refusal("workspaces", error, "shipfox workspaces list")];
  }
  // A deleted workspace stays in the list, and has no runners to ask for.
  const memberships = all.filter(({ workspace_status: status }) => status === "active");
  if (memberships.length === 0) {
    const message = "the account is in no workspace";
    return [{ name: "runners", status: "warning", message, next: "shipfox workspaces create my-team" }];
  }
  return await Promise.all(
    memberships.map(({ workspace_id: workspaceId, workspace_slug: slug }) => lookAtWorkspace(api, workspaceId, slug)),
  );
}

async function lookAtWorkspace(api: Client, workspaceId: string, slug: string): Promise<Finding> {
  const name = `runners of ${slug}`;
  let runners: Runner[];
  try {
    ({ runners } = await api.runners.list({ workspaceId }));
  } catch (error) {
    return refusal(name, error, `shipfox runners list --workspace ${slug}`);
  }
  const ready = runners.filter(isOnline).length;
  const unhealthy = runners.filter(({ state }) => state === "unhealthy").length;
  const message = `${ready} online${unhealthy === 0 ? "" : `, ${unhealthy} unhealthy`}`;
  if (unhealthy > 0) {
    const status = ready === 0 ? "failed" : "warning";
    return { name, status, message, next: `shipfox runners list --workspace ${slug}` };
  }
  if (ready > 0) return { name, status: "ok", message };
  const next = `shipfox runners add --workspace ${slug}; where machines are started on demand: shipfox provisioners list`;
  return { name, status: "warning", message, next };
}

/** One question that is not answered ends no other look. */
function refusal(name: string, error: unknown, next: string): Finding {
  if (!(error instanceof ClientError)) throw error;
  return { name, status: "failed", message: error.message, next };
}

/** Git is what `shipfox exec` and the making of a project out of a folder need. */
export async function lookAtGit(env: NodeJS.ProcessEnv): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)("git", ["--version"], { env, timeout: GIT_TIMEOUT_MS });
    return { name: "git", status: "ok", message: stdout.trim().replace(/^git version /, "") };
  } catch {
    const next = "install it, on Debian and Ubuntu: apt-get install git";
    return { name: "git", status: "warning", message: "there is no git, which shipfox exec needs", next };
  }
}
