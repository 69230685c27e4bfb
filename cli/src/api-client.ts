import { randomUUID } from "node:crypto";
import {
  adminUsersReplySchema,
  adminWorkspacesReplySchema,
  changedUserReplySchema,
  overviewReplySchema,
  revokedSessionsReplySchema,
  type ServerSettingsChange,
  serverSettingsReplySchema,
  workspaceStatusReplySchema,
} from "@shipfox/shared/api/admin";
import { annotationsReplySchema } from "@shipfox/shared/api/annotations";
import {
  accessTokenSchema,
  accessTokensReplySchema,
  createAccessTokenReplySchema,
} from "@shipfox/shared/api/access-tokens";
import {
  meReplySchema,
  resetLinkReplySchema,
  sessionReplySchema,
  signupReplySchema,
  type User,
} from "@shipfox/shared/api/accounts";
import { auditEventsReplySchema } from "@shipfox/shared/api/audit";
import {
  definitionsReplySchema,
  fireManualReplySchema,
  validateDefinitionReplySchema,
} from "@shipfox/shared/api/definitions";
import { connectionSchema, connectionsReplySchema } from "@shipfox/shared/api/integrations";
import { logPageSchema } from "@shipfox/shared/api/logs";
import { projectSchema, projectsReplySchema } from "@shipfox/shared/api/projects";
import { registryCredentialSchema, registryCredentialsReplySchema } from "@shipfox/shared/api/registries";
import { rootKeysReplySchema } from "@shipfox/shared/api/root-key";
import { createRegistrationTokenReplySchema, runnerSchema, runnersReplySchema } from "@shipfox/shared/api/runners";
import { type RerunMode, runDetailSchema, runSchema, runsReplySchema } from "@shipfox/shared/api/runs";
import {
  secretsReplySchema,
  setSecretReplySchema,
  setVariableReplySchema,
  variableReplySchema,
  variablesReplySchema,
} from "@shipfox/shared/api/scoped-values";
import { limitsReplySchema, usageReplySchema } from "@shipfox/shared/api/usage";
import {
  acceptInvitationReplySchema,
  createInvitationReplySchema,
  invitationsReplySchema,
  memberSchema,
  membershipsReplySchema,
  membersReplySchema,
  workspaceSchema,
} from "@shipfox/shared/api/workspaces";
import { IDEMPOTENCY_KEY_HEADER } from "@shipfox/shared/machine";
import { z } from "zod";
import { CliError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";
import type { ApiReply, ApiRequest, HttpTransport } from "./http-transport.ts";

const REFRESH_COOKIE = "shipfox_refresh_token";
/** Shorter than the life of the credentials' lock, which is held meanwhile. */
const REFRESH_TIMEOUT_MS = 15_000;
/** Fetching and reading a repository may take this long on the server. */
const REPOSITORY_TIMEOUT_MS = 120_000;

const aboutSchema = z.object({ name: z.string(), version: z.string(), docs: z.string(), needs_setup: z.boolean() });
const nothing = z.undefined();
const anything = z.unknown();

export type About = z.infer<typeof aboutSchema>;

/** A code was mailed. */
export interface EmailChallenge {
  challengeId: string;
}

export interface SignedIn {
  accessToken: string;
  /** Null when the server kept the refresh token that was sent (its grace after a rotation). */
  refreshToken: string | null;
  user: User;
  hasWorkspace: boolean;
}

interface Page {
  limit?: number;
  cursor?: string;
}

type WorkspaceScope = Page & { workspace_id: string };
interface AuditFilter extends Page {
  action?: string;
  actor_user_id?: string;
  target_type?: string;
  target_id?: string;
  outcome?: string;
  from?: string;
  to?: string;
}
type RunFilter = Page & { project_id: string; status?: string; definition_id?: string };

/** Whose secrets or variables: those of the workspace, or of one project of it. */
export interface ValueScope {
  workspaceId: string;
  projectId: string | null;
}

interface GitConnectionBody {
  workspace_id: string;
  name: string;
  base_url?: string;
  username?: string;
  token?: string;
  ssh_key?: string;
}

interface ProjectBody {
  workspace_id: string;
  name: string;
  slug?: string;
  source: { connection_id: string; external_repository_id: string };
}

/**
 * The user API, one method a route, replies checked with the wire schemas. Nothing is retried here. Every method throws
 * ApiFailure (an error answer), ConnectionFailure (no answer in time) or CliError (an answer of an unknown shape).
 */
export class ApiClient {
  readonly url: string;
  readonly #http: HttpTransport;

  constructor(http: HttpTransport) {
    this.#http = http;
    this.url = http.baseUrl;
  }

  async about(): Promise<About> {
    return await this.#call({ method: "GET", path: "/" }, aboutSchema);
  }

  async login(body: { email: string; password: string }): Promise<SignedIn> {
    const request: ApiRequest = { method: "POST", path: "/auth/login", body };
    return signedIn(await this.#http.exchange(request, sessionReplySchema));
  }

  /** Where mail is configured a new account has to be proven by a code first. */
  async signup(body: {
    email: string;
    password: string;
    name: string;
    setup_token?: string;
    invitation_token?: string;
  }): Promise<SignedIn | EmailChallenge> {
    const request: ApiRequest = { method: "POST", path: "/auth/signup", body };
    const { headers, body: reply } = await this.#http.exchange(request, signupReplySchema);
    const { token, user, membership = null, email_challenge: challenge } = reply;
    if (token !== undefined) return signedIn({ headers, body: { token, user, membership } });
    if (challenge) return { challengeId: challenge.id };
    throw new CliError("The control plane answered a sign-up in a way that this version does not understand.", {
      exitCode: EXIT.api,
      code: "unexpected-reply",
    });
  }

  async members(workspaceId: string) {
    return await this.#call({ method: "GET", path: `/workspaces/${workspaceId}/members` }, membersReplySchema);
  }

  async changeMember(workspaceId: string, userId: string, body: { role: string }) {
    const path = `/workspaces/${workspaceId}/members/${userId}`;
    return await this.#call({ method: "PATCH", path, body }, memberSchema);
  }

  async removeMember(workspaceId: string, userId: string): Promise<void> {
    await this.#call({ method: "DELETE", path: `/workspaces/${workspaceId}/members/${userId}` }, nothing);
  }

  async invitations(workspaceId: string) {
    return await this.#call({ method: "GET", path: `/workspaces/${workspaceId}/invitations` }, invitationsReplySchema);
  }

  async invite(workspaceId: string, body: { email: string; role?: string }) {
    const path = `/workspaces/${workspaceId}/invitations`;
    return await this.#call({ method: "POST", path, body }, createInvitationReplySchema);
  }

  async acceptInvitation(token: string) {
    const path = "/invitations/accept";
    return await this.#call({ method: "POST", path, body: { token } }, acceptInvitationReplySchema);
  }

  async withdrawInvitation(workspaceId: string, invitationId: string): Promise<void> {
    await this.#call({ method: "DELETE", path: `/workspaces/${workspaceId}/invitations/${invitationId}` }, nothing);
  }

  async accessTokens(query: Page) {
    return await this.#call({ method: "GET", path: "/auth/tokens", query: { ...query } }, accessTokensReplySchema);
  }

  async createAccessToken(body: {
    name: string;
    workspace_id: string;
    abilities: string[];
    ttl_seconds?: number;
    current_password?: string;
  }) {
    return await this.#call({ method: "POST", path: "/auth/tokens", body }, createAccessTokenReplySchema);
  }

  async revokeAccessToken(tokenId: string): Promise<void> {
    await this.#call({ method: "DELETE", path: `/auth/tokens/${tokenId}` }, nothing);
  }

  /** The personal access token that this client calls with. */
  async currentAccessToken() {
    return await this.#call({ method: "GET", path: "/auth/tokens/current" }, accessTokenSchema);
  }

  async changePassword(body: { current_password: string; new_password: string }): Promise<void> {
    await this.#call({ method: "POST", path: "/auth/change-password", body }, nothing);
  }

  async requestReset(email: string): Promise<void> {
    await this.#call({ method: "POST", path: "/auth/password/reset", body: { email } }, nothing);
  }

  async confirmReset(body: { token: string; new_password: string }): Promise<SignedIn> {
    const request: ApiRequest = { method: "POST", path: "/auth/password/reset/confirm", body };
    return signedIn(await this.#http.exchange(request, sessionReplySchema));
  }

  async createResetLink(email: string) {
    const request: ApiRequest = { method: "POST", path: "/admin/auth/password-reset-links", body: { email } };
    return await this.#call(request, resetLinkReplySchema);
  }

  async verifyEmail(body: { email: string; challenge_id: string; code: string }): Promise<SignedIn> {
    const request: ApiRequest = { method: "POST", path: "/auth/verify-email/confirm", body };
    return signedIn(await this.#http.exchange(request, sessionReplySchema));
  }

  async refresh(refreshToken: string): Promise<SignedIn> {
    const headers = { cookie: `${REFRESH_COOKIE}=${refreshToken}` };
    const request: ApiRequest = { method: "POST", path: "/auth/refresh", headers, timeoutMs: REFRESH_TIMEOUT_MS };
    return signedIn(await this.#http.exchange(request, sessionReplySchema));
  }

  async logout(refreshToken: string): Promise<void> {
    const headers = { cookie: `${REFRESH_COOKIE}=${refreshToken}` };
    await this.#call({ method: "POST", path: "/auth/logout", headers, body: {} }, nothing);
  }

  async me() {
    return await this.#call({ method: "GET", path: "/auth/me" }, meReplySchema);
  }

  async workspaces() {
    return (await this.#call({ method: "GET", path: "/workspaces" }, membershipsReplySchema)).memberships;
  }

  async createWorkspace(body: { name: string; slug?: string }) {
    return await this.#call({ method: "POST", path: "/workspaces", body }, workspaceSchema);
  }

  async projects(query: WorkspaceScope) {
    return await this.#call({ method: "GET", path: "/projects", query: { ...query } }, projectsReplySchema);
  }

  async project(projectId: string) {
    return await this.#call({ method: "GET", path: `/projects/${projectId}` }, projectSchema);
  }

  async createProject(body: ProjectBody) {
    const request: ApiRequest = { method: "POST", path: "/projects", body, timeoutMs: REPOSITORY_TIMEOUT_MS };
    return await this.#call(request, projectSchema);
  }

  /** Starts a sync of the default branch. Its state is in the reply of `definitions`. */
  async syncProject(projectId: string): Promise<void> {
    const path = `/projects/${projectId}/sync`;
    await this.#call({ method: "POST", path, body: {}, timeoutMs: REPOSITORY_TIMEOUT_MS }, anything);
  }

  async connections(workspaceId: string) {
    const query = { workspace_id: workspaceId, capability: "source_control" };
    return (await this.#call({ method: "GET", path: "/integration-connections", query }, connectionsReplySchema))
      .connections;
  }

  async createGitConnection(body: GitConnectionBody) {
    return await this.#call({ method: "POST", path: "/integrations/git/connections", body }, connectionSchema);
  }

  async definitions(query: Page & { project_id: string }) {
    return await this.#call({ method: "GET", path: "/definitions", query: { ...query } }, definitionsReplySchema);
  }

  async validateDefinition(yaml: string) {
    const request: ApiRequest = { method: "POST", path: "/definitions/validate", body: { yaml } };
    return await this.#call(request, validateDefinitionReplySchema);
  }

  async fireManual(definitionId: string, body: { inputs?: Record<string, unknown> }): Promise<string> {
    const path = `/workflow-definitions/${definitionId}/fire-manual`;
    return (await this.#call({ method: "POST", path, body }, fireManualReplySchema)).workflow_run_id;
  }

  async runs(query: RunFilter) {
    return await this.#call({ method: "GET", path: "/workflows/runs", query: { ...query } }, runsReplySchema);
  }

  async run(runId: string, signal?: AbortSignal) {
    return await this.#call({ method: "GET", path: `/workflows/runs/${runId}`, signal }, runDetailSchema);
  }

  async annotations(runId: string, attempt: number, cursor?: string) {
    const query = { workflow_run_id: runId, attempt, cursor };
    return await this.#call({ method: "GET", path: "/annotations", query }, annotationsReplySchema);
  }

  async cancelRun(runId: string, force: boolean) {
    const path = `/workflows/runs/${runId}/cancel`;
    return await this.#call({ method: "POST", path, ...(force ? { body: { force } } : {}) }, runSchema);
  }

  async rerunRun(runId: string, mode: RerunMode) {
    return await this.#call({ method: "POST", path: `/workflows/runs/${runId}/rerun`, body: { mode } }, runSchema);
  }

  async logPage(stepId: string, attempt: number, cursor: number) {
    const path = `/steps/${stepId}/attempts/${attempt}/logs`;
    return await this.#call({ method: "GET", path, query: { cursor } }, logPageSchema);
  }

  /** Server-sent events of a log from byte `offset` on. The caller must read or cancel the body. */
  async openLogStream(stepId: string, attempt: number, offset: number | null, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (offset !== null) headers["last-event-id"] = String(offset);
    const path = `/steps/${stepId}/attempts/${attempt}/logs/stream`;
    return await this.#http.stream({ method: "GET", path, headers, signal });
  }

  async createRegistrationToken(workspaceId: string, body: { name?: string; ttl_seconds?: number; max_uses?: number }) {
    const path = `/workspaces/${workspaceId}/runners/manual-registration-tokens`;
    return await this.#call({ method: "POST", path, body }, createRegistrationTokenReplySchema);
  }

  async runners(workspaceId: string) {
    const path = `/workspaces/${workspaceId}/runners`;
    return (await this.#call({ method: "GET", path }, runnersReplySchema)).runners;
  }

  async drainRunner(workspaceId: string, runnerId: string) {
    const path = `/workspaces/${workspaceId}/runners/${runnerId}/drain`;
    return await this.#call({ method: "POST", path, body: {} }, runnerSchema);
  }

  async revokeRunner(workspaceId: string, runnerId: string) {
    const path = `/workspaces/${workspaceId}/runners/${runnerId}/revoke`;
    return await this.#call({ method: "POST", path, body: {} }, runnerSchema);
  }

  async createRegistryCredential(
    workspaceId: string,
    body: { host: string; username: string; password: string; project_ids?: string[] },
  ) {
    const path = `/workspaces/${workspaceId}/registry-credentials`;
    return await this.#call({ method: "POST", path, body }, registryCredentialSchema);
  }

  async registryCredentials(workspaceId: string) {
    const path = `/workspaces/${workspaceId}/registry-credentials`;
    return (await this.#call({ method: "GET", path }, registryCredentialsReplySchema)).registry_credentials;
  }

  async deleteRegistryCredential(workspaceId: string, credentialId: string): Promise<void> {
    const path = `/workspaces/${workspaceId}/registry-credentials/${credentialId}`;
    await this.#call({ method: "DELETE", path }, nothing);
  }

  async secrets(scope: ValueScope) {
    return (await this.#call({ method: "GET", ...listOf("secrets", scope) }, secretsReplySchema)).secrets;
  }

  async setSecret(scope: ValueScope, key: string, value: string) {
    return await this.#call({ method: "PUT", ...entryOf("secrets", scope, key, value) }, setSecretReplySchema);
  }

  async deleteSecret(scope: ValueScope, key: string): Promise<void> {
    await this.#call({ method: "DELETE", ...entryOf("secrets", scope, key) }, nothing);
  }

  async variables(scope: ValueScope) {
    return (await this.#call({ method: "GET", ...listOf("variables", scope) }, variablesReplySchema)).variables;
  }

  async variable(scope: ValueScope, key: string) {
    return (await this.#call({ method: "GET", ...entryOf("variables", scope, key) }, variableReplySchema)).variable;
  }

  async setVariable(scope: ValueScope, key: string, value: string) {
    return await this.#call({ method: "PUT", ...entryOf("variables", scope, key, value) }, setVariableReplySchema);
  }

  async deleteVariable(scope: ValueScope, key: string): Promise<void> {
    await this.#call({ method: "DELETE", ...entryOf("variables", scope, key) }, nothing);
  }

  /** `workspaceId` null: of all workspaces and of the server. */
  async auditEvents(workspaceId: string | null, query: AuditFilter) {
    const path = workspaceId === null ? "/admin/audit-events" : `/workspaces/${workspaceId}/audit-events`;
    return await this.#call({ method: "GET", path, query: { ...query } }, auditEventsReplySchema);
  }

  async resendInvitation(workspaceId: string, invitationId: string) {
    const path = `/workspaces/${workspaceId}/invitations/${invitationId}/resend`;
    return await this.#call({ method: "POST", path }, createInvitationReplySchema);
  }

  async renameWorkspace(workspaceId: string, body: { name?: string; slug?: string }) {
    return await this.#call({ method: "PATCH", path: `/workspaces/${workspaceId}`, body }, workspaceSchema);
  }

  async leaveWorkspace(workspaceId: string): Promise<void> {
    await this.#call({ method: "POST", path: `/workspaces/${workspaceId}/leave` }, nothing);
  }

  async deleteWorkspace(workspaceId: string): Promise<void> {
    await this.#call({ method: "DELETE", path: `/workspaces/${workspaceId}` }, nothing);
  }

  async changeLimits(workspaceId: string, body: { max_concurrent_runs: number | null }) {
    return await this.#call({ method: "PATCH", path: `/workspaces/${workspaceId}/limits`, body }, limitsReplySchema);
  }

  async usage(workspaceId: string, query: { from?: string; to?: string }) {
    return await this.#call({ method: "GET", path: `/workspaces/${workspaceId}/usage`, query }, usageReplySchema);
  }

  async adminOverview() {
    return await this.#call({ method: "GET", path: "/admin/overview" }, overviewReplySchema);
  }

  async adminUsers(query: Page & { user_id?: string; email?: string; search?: string; status?: string }) {
    return await this.#call({ method: "GET", path: "/admin/auth/users", query: { ...query } }, adminUsersReplySchema);
  }

  async changeUser(
    userId: string,
    action: "suspend" | "reactivate" | "admin-role",
    body: { reason?: string; role?: string | null },
  ) {
    return await this.#call(change(`/admin/auth/users/${userId}/${action}`, body), changedUserReplySchema);
  }

  async revokeSessions(userId: string, body: { reason?: string }) {
    return await this.#call(change(`/admin/auth/users/${userId}/revoke-sessions`, body), revokedSessionsReplySchema);
  }

  async adminWorkspaces(query: Page & { workspace_id?: string; search?: string; status?: string }) {
    return await this.#call(
      { method: "GET", path: "/admin/workspaces", query: { ...query } },
      adminWorkspacesReplySchema,
    );
  }

  async changeWorkspaceStatus(workspaceId: string, action: "suspend" | "reactivate", body: { reason?: string }) {
    return await this.#call(change(`/admin/workspaces/${workspaceId}/${action}`, body), workspaceStatusReplySchema);
  }

  async serverSettings() {
    return await this.#call({ method: "GET", path: "/admin/settings" }, serverSettingsReplySchema);
  }

  async changeServerSettings(body: ServerSettingsChange & { reason: string }) {
    return await this.#call({ method: "PATCH", path: "/admin/settings", body }, serverSettingsReplySchema);
  }

  async rootKeys() {
    return await this.#call({ method: "GET", path: "/admin/root-key" }, rootKeysReplySchema);
  }

  async rotateRootKey(body: { revoke_tokens: boolean }) {
    return await this.#call({ method: "POST", path: "/admin/root-key/rotate", body }, rootKeysReplySchema);
  }

  async #call<Schema extends z.ZodType>(request: ApiRequest, schema: Schema): Promise<z.output<Schema>> {
    return (await this.#http.exchange(request, schema)).body;
  }
}

/** A change that the control plane takes once, however often the network repeats it. */
function change(path: string, body: unknown): ApiRequest {
  return { method: "POST", path, body, headers: { [IDEMPOTENCY_KEY_HEADER]: randomUUID() } };
}

/** One page holds all that a workspace may have. */
function listOf(kind: "secrets" | "variables", { workspaceId, projectId }: ValueScope) {
  return { path: `/workspaces/${workspaceId}/${kind}`, query: { limit: 10_000, project_id: projectId ?? undefined } };
}

function entryOf(
  kind: "secrets" | "variables",
  { workspaceId, projectId }: ValueScope,
  key: string,
  value?: string,
): Pick<ApiRequest, "path" | "query" | "body"> {
  const path = `/workspaces/${workspaceId}/${kind}/${encodeURIComponent(key)}`;
  if (value === undefined) return { path, query: { project_id: projectId ?? undefined } };
  return { path, body: { value, ...(projectId === null ? {} : { project_id: projectId }) } };
}

function signedIn(reply: ApiReply<{ token: string; user: User; membership: unknown }>): SignedIn {
  const { token, user, membership } = reply.body;
  return { accessToken: token, refreshToken: refreshCookie(reply.headers), user, hasWorkspace: membership !== null };
}

function refreshCookie(headers: Headers): string | null {
  for (const cookie of headers.getSetCookie()) {
    const [pair = ""] = cookie.split(";");
    const separator = pair.indexOf("=");
    if (pair.slice(0, separator).trim() === REFRESH_COOKIE) return pair.slice(separator + 1).trim();
  }
  return null;
}
