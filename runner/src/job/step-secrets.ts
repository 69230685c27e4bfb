import type { SecretBinding } from "@shipfox/shared/machine";
import { isTransient, RefusedError } from "@shipfox/shared/call-error";
import { repeat } from "../control-plane/client.ts";
import { MAX_SECRET_CHARS } from "../logs/masking.ts";
import type { StepContext } from "./step-context.ts";
import { failed, type StepResult } from "./step-result.ts";

/** A control plane that answers, but with its own faults, is asked this often; one that does not answer as long as it takes. */
const MAX_REFUSALS = 8;
/** The job is not ours any more. */
const LOST_CODES: ReadonlySet<string> = new Set(["lease-not-active", "step-not-found", "job-not-found"]);

/** What of a step's context is needed here. */
export interface SecretsContext extends Pick<StepContext, "client" | "attempt" | "masker" | "stop"> {
  readonly step: { readonly id: string };
  readonly lease: { readonly token: string };
  readonly log: Pick<StepContext["log"], "line">;
}

export type StepSecrets =
  | { readonly kind: "env"; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: "result"; readonly result: StepResult };

/**
 * Fetches what the bindings name, once for each attempt of a step, hides it from everything the job shows from here on, and
 * puts the variables together. Without all of the values the command must not start: then the answer is the step's result.
 */
export async function fetchStepSecrets(
  context: SecretsContext,
  bindings: readonly SecretBinding[],
): Promise<StepSecrets> {
  if (bindings.length === 0) return { kind: "env", env: {} };
  const { masker, stop, log } = context;
  const refuse = (message: string, key: string | null = null): StepSecrets => {
    log.line(`Error: ${message}`, "stderr");
    return unresolvable(message, bindings, key);
  };
  let values: ReadonlyMap<string, string>;
  try {
    values = await fetchValues(context);
  } catch (error) {
    if (stop.signal.aborted) return stopped;
    if (error instanceof RefusedError && LOST_CODES.has(error.code)) {
      stop.request({ kind: "lost", why: error.message });
      return stopped;
    }
    const key = error instanceof RefusedError ? keyOf(error.details) : null;
    return refuse(`The secrets of the step could not be read: ${(error as Error).message}`, key);
  }
  if (!masker.hasRoomFor(values.values())) {
    return refuse(
      `The secrets of the job have more than ${MAX_SECRET_CHARS} characters, too many to hide them in its logs.`,
    );
  }
  for (const value of values.values()) masker.add(value);
  const missing = secretKeys(bindings).find((key) => !values.has(key));
  if (missing !== undefined) return refuse(`The control plane did not give the secret ${missing}.`, missing);
  return { kind: "env", env: putTogether(bindings, values) };
}

const stopped: StepSecrets = { kind: "result", result: { kind: "stopped" } };

async function fetchValues({ client, lease, step, attempt, stop }: SecretsContext): Promise<Map<string, string>> {
  let refusals = 0;
  const { secrets } = await repeat(stop.signal, async () => {
    try {
      return await client.stepSecrets(step.id, lease.token, attempt, stop.signal);
    } catch (error) {
      refusals += error instanceof RefusedError ? 1 : 0;
      if (!isTransient(error) || refusals < MAX_REFUSALS) throw error;
      throw new Error((error as Error).message, { cause: error });
    }
  });
  return new Map(secrets.map(({ key, value }) => [key, value]));
}

function secretKeys(bindings: readonly SecretBinding[]): string[] {
  return bindings.flatMap(({ segments }) => segments.flatMap((part) => (part.kind === "secret" ? [part.key] : [])));
}

function putTogether(bindings: readonly SecretBinding[], values: ReadonlyMap<string, string>): Record<string, string> {
  const texts = bindings.map(({ target, segments }): [string, string] => [
    target,
    segments.map((part) => (part.kind === "literal" ? part.value : (values.get(part.key) ?? ""))).join(""),
  ]);
  return Object.fromEntries(texts);
}

/** Names the first variable that the secret would be part of. */
function unresolvable(message: string, bindings: readonly SecretBinding[], key: string | null): StepSecrets {
  const binding = bindings.find(({ segments }) => segments.some((part) => part.kind === "secret" && part.key === key));
  const result = failed({
    message,
    reason: "config_unresolvable",
    ...(binding === undefined ? {} : { field: `env.${binding.target}`, source: `secrets.${key}` }),
  });
  return { kind: "result", result };
}

function keyOf(details: unknown): string | null {
  const key = typeof details === "object" && details !== null && "key" in details ? details.key : null;
  return typeof key === "string" ? key : null;
}
