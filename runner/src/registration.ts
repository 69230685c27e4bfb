import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, RefusedError, retryAfterOf } from "@shipfox/shared/call-error";
import type { Logger } from "@shipfox/shared/logger";
import type { Capabilities, RegisterReply } from "@shipfox/shared/machine";
import { tokenKind } from "@shipfox/shared/tokens";
import type { ControlPlaneClient } from "./control-plane/client.ts";
import type { StateFolder } from "./state-folder.ts";
import { EXIT_CONFIGURATION } from "@shipfox/shared/operate/exit-status";

/** Exit statuses beside 0; 75 is EX_TEMPFAIL; 78 is EX_CONFIG, which our systemd unit does not restart. */
export const EXIT_FAILED = 1;
export const EXIT_NOT_REGISTERED = 75;

/** The runner cannot go on; `message` says to people what happened and what to do. */
export class FatalError extends Error {
  override readonly name = "FatalError";
  readonly exitCode = EXIT_CONFIGURATION;
}

export interface RegistrationOptions {
  client: ControlPlaneClient;
  state: StateFolder;
  apiUrl: string;
  registrationToken: string | undefined;
  /** Read at each try: a reload changes them. */
  readonly labels: readonly string[];
  name: string;
  capabilities: Capabilities;
  logger: Logger;
}

export interface Session {
  sessionId: string;
  sessionToken: string;
  runnerId: string;
  /** The labels it was opened with. */
  labels: readonly string[];
  /** Jobs it may take; null for any number. */
  maxClaims: number | null;
  /** Tokens that no log may show. */
  secrets: readonly string[];
}

/**
 * Opens a session: with the stored credential, else with the registration token. A new credential is on the disk before the
 * session is used. Repeated through outages until `signal`; rejects with FatalError when trying again would not help.
 */
export async function register(options: RegistrationOptions, signal: AbortSignal): Promise<Session> {
  if (isSingleUse(options.registrationToken)) return await registerInstance(options.registrationToken, options, signal);
  const stored = options.state.readCredential(options.apiUrl);
  if (stored !== null) {
    const registered = await registerWith(stored.runner_token, randomUUID(), options, signal).catch(
      (error: unknown) => {
        if (isUnknownCredential(error) && options.registrationToken !== undefined) return null;
        throw explain(error, options, "runner credential");
      },
    );
    if (registered !== null) return keep(registered, options);
    options.logger.warn("the control plane does not know this runner's credential; registering it as a new runner");
  }
  if (options.registrationToken === undefined) throw new FatalError(missingToken(options));
  try {
    return keep(await registerWith(options.registrationToken, randomUUID(), options, signal), options);
  } catch (error) {
    throw explain(error, options, "registration token");
  }
}

/** A token that a provisioner made for one machine and one job (`sf_ert_…`). */
export function isSingleUse(token: string | undefined): token is string {
  return token !== undefined && tokenKind(token) === "ert";
}

/** With one key over all tries, also those of a process that is started again: the same session until its first claim. */
async function registerInstance(token: string, options: RegistrationOptions, signal: AbortSignal): Promise<Session> {
  try {
    return keep(await registerWith(token, options.state.registrationKey(), options, signal), options);
  } catch (error) {
    throw explain(error, options, "registration token");
  }
}

function keep(
  { reply, labels }: Registered,
  { state, apiUrl, registrationToken, logger }: RegistrationOptions,
): Session {
  if (reply.version?.warning !== undefined)
    logger.warn({ server_version: reply.version.server }, reply.version.warning);
  if (reply.runner_token !== undefined && reply.runner_id !== undefined) {
    state.writeCredential({ api_url: apiUrl, runner_id: reply.runner_id, runner_token: reply.runner_token });
  }
  const secrets = [reply.session_token, reply.runner_token, registrationToken].filter((secret) => secret !== undefined);
  // A control plane of the published protocol names the session only.
  const runnerId = reply.runner_id ?? reply.session_id;
  const { session_id: sessionId, session_token: sessionToken, max_claims: maxClaims } = reply;
  return { sessionId, sessionToken, runnerId, labels, maxClaims, secrets };
}

interface Registered {
  reply: RegisterReply;
  labels: readonly string[];
}

async function registerWith(
  token: string,
  idempotencyKey: string,
  options: RegistrationOptions,
  signal: AbortSignal,
): Promise<Registered> {
  const { client, capabilities, name, logger, apiUrl } = options;
  const backoff = new Backoff();
  for (;;) {
    try {
      const { labels } = options;
      const body = { labels, capabilities, persistent: !isSingleUse(token), name };
      return { reply: await client.register(token, body, idempotencyKey), labels };
    } catch (error) {
      if (!isTransient(error) || signal.aborted) throw error;
      const delayMs = backoff.next(retryAfterOf(error));
      logger.warn(
        { api_url: apiUrl, error: (error as Error).message, next_try_ms: Math.round(delayMs) },
        "not registered yet; trying again",
      );
      await sleep(delayMs, undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}

/** A revoked runner stays out, even where a registration token would let it in again. */
function isUnknownCredential(error: unknown): boolean {
  return error instanceof RefusedError && error.status === 401 && error.code !== "runner-revoked";
}

function explain(error: unknown, options: RegistrationOptions, credential: string): unknown {
  const { state, apiUrl } = options;
  if (!(error instanceof RefusedError) || isTransient(error)) return error;
  if (error.code === "runner-credential-reused") {
    return new FatalError(
      `The credential in ${state.path} is out of date: another runner uses a copy of it. Each runner needs its own state folder; remove credential.json here and register this runner with a registration token.`,
    );
  }
  if (error.code === "runner-version-unsupported") return versionUnsupported(error);
  if (error.code === "runner-revoked") {
    return new FatalError(
      `This runner was revoked. To register it anew, remove ${state.path}/credential.json and start it with a registration token.`,
    );
  }
  if (error.code === "labels-not-granted")
    return new FatalError(
      `The control plane at ${apiUrl} refused the registration: ${error.message}. Set SHIPFOX_RUNNER_LABELS to labels of the template.`,
    );
  if (isSingleUse(options.registrationToken) && error.status === 401)
    return new FatalError(
      `The control plane at ${apiUrl} refused the registration token: ${error.message}. It is good for one machine and one job; the provisioner makes another.`,
    );
  if (error.status === 401 || error.code === "registration-token-exhausted") {
    return new FatalError(
      `The control plane at ${apiUrl} refused the ${credential}: ${error.message}. Make a new one with "shipfox runners add" and set SHIPFOX_RUNNER_REGISTRATION_TOKEN or SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE.`,
    );
  }
  if (error.status === 404)
    return new FatalError(`There is no Shipfox control plane at ${apiUrl}; correct SHIPFOX_API_URL.`);
  return new FatalError(`The control plane at ${apiUrl} refused the registration: ${error.message}`);
}

/** Nothing changes until somebody upgrades one of the two: a restart would only repeat it. */
export function versionUnsupported(error: RefusedError): FatalError {
  return new FatalError(`The control plane refused this runner: ${error.message}`);
}

function missingToken({ apiUrl, state }: RegistrationOptions): string {
  return `This runner has no credential for ${apiUrl} in ${state.path}. Make a registration token with "shipfox runners add" and set SHIPFOX_RUNNER_REGISTRATION_TOKEN, or SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE to a file that holds it.`;
}
