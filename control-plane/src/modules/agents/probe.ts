import type { AgentTest } from "@shipfox/shared/api/agents";
import { ApiError } from "@shipfox/shared/errors";
import { type OutgoingAnswer, RequestError, requestOnce } from "../../network/request-once.ts";
import type { ResolveHost } from "../../network/resolve-host.ts";
import type { Clock } from "../../store/clock.ts";
import {
  type ApiCall,
  askCall,
  type Endpoint,
  errorText,
  isAnswer,
  listCall,
  type ModelName,
  parseModels,
} from "./protocol.ts";

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Probes at once over all workspaces; each may hold a connection for as long as a provider likes. */
const MAX_PROBES = 32;
/** A shorter text is no secret worth hiding, and hiding it would make messages unreadable. */
const MIN_HIDDEN_CHARS = 4;

type ProbeErrorCode = NonNullable<AgentTest["error"]>["code"];

/** A provider cannot be used as asked. The message is for people and holds no credential. */
export class ProbeError extends Error {
  override readonly name = "ProbeError";
  readonly code: ProbeErrorCode;

  constructor(code: ProbeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Where to call, and whether the operator answers for the place himself. */
export interface ProbeTarget extends Endpoint {
  readonly allowPrivate: boolean;
  /** Never to be shown, wherever they come back. */
  readonly secrets: readonly string[];
}

export interface ProberDeps {
  readonly clock: Clock;
  readonly resolve: ResolveHost;
  /** For the header User-Agent. */
  readonly version: string;
  /** For one probe, whatever it calls. */
  readonly timeoutMs: number;
}

/** Calls providers, for a moment and in small number. Names are resolved once and redirects are not followed. */
export class Prober {
  readonly #deps: ProberDeps;
  #running = 0;

  constructor(deps: ProberDeps) {
    this.#deps = deps;
  }

  /** Resolves when the model answers. Rejects with `ProbeError`, or 503 `overloaded`. */
  ask(target: ProbeTarget, model: string): Promise<void> {
    return this.#counted(() => this.#ask(target, model));
  }

  /** The models that the provider says it has. Rejects with `ProbeError`, or 503 `overloaded`. */
  listModels(target: ProbeTarget): Promise<ModelName[]> {
    return this.#counted(() => this.#list(target));
  }

  /**
   * Asks the model, when one is named, and lists the models. Not every provider has a list: one that answers is good
   * without it. Rejects with `ProbeError`, or 503 `overloaded`.
   */
  async test(target: ProbeTarget, model: string | null): Promise<ModelName[]> {
    return this.#counted(async () => {
      if (model === null) return this.#list(target);
      const [, listed] = await Promise.all([this.#ask(target, model), this.#list(target).catch(() => [])]);
      return listed.length > 0 ? listed : [{ id: model, label: model }];
    });
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_PROBES) {
      throw new ApiError("overloaded", "too many model providers are being called; try again in a few seconds");
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
    }
  }

  async #ask(target: ProbeTarget, model: string): Promise<void> {
    const answer = await this.#call(target, askCall(target, model), model);
    if (isAnswer(target.api, answer)) return;
    throw new ProbeError("malformed_answer", `the answer is none of ${target.api}; check the address and the API`);
  }

  async #list(target: ProbeTarget): Promise<ModelName[]> {
    const models = parseModels(target.api, await this.#call(target, listCall(target), null));
    if (models) return models;
    throw new ProbeError("malformed_answer", "the answer is no list of models; check the address and the API");
  }

  async #call(target: ProbeTarget, call: ApiCall, model: string | null): Promise<unknown> {
    const { resolve, timeoutMs, version } = this.#deps;
    const request = {
      ...call,
      headers: {
        ...target.headers,
        accept: "application/json",
        "user-agent": `Shipfox/${version}`,
        ...(call.body === null ? {} : { "content-type": "application/json" }),
      },
      timeoutMs,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      allowPrivate: target.allowPrivate,
      signal: new AbortController().signal,
    };
    const answer = await requestOnce(request, resolve).catch((error: unknown) => {
      if (error instanceof RequestError) throw new ProbeError(error.failure, error.message);
      throw error;
    });
    const parsed = parse(answer);
    if (answer.status < 200 || answer.status > 299) throw refusal(answer.status, parsed, model, target.secrets);
    return parsed;
  }
}

function parse({ body }: OutgoingAnswer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return null;
  }
}

function refusal(status: number, answer: unknown, model: string | null, secrets: readonly string[]): ProbeError {
  const said = errorText(answer);
  const text = said === null ? "" : `: ${withoutSecrets(said, secrets)}`;
  if (status >= 300 && status < 400) {
    return new ProbeError("provider_error", `answered ${status}: redirects are not followed; give the final address`);
  }
  if (status === 401 || status === 403) {
    return new ProbeError("credentials_refused", `the credentials were refused with ${status}${text}`);
  }
  if (status === 429) return new ProbeError("rate_limited", `the provider's own limit was reached${text}`);
  const isAboutModel = model !== null && (status === 404 || (status < 500 && (said ?? "").includes(model)));
  if (isAboutModel) return new ProbeError("model_unknown", `the model ${model} was refused with ${status}${text}`);
  return new ProbeError("provider_error", `answered ${status}${text}`);
}

function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length >= MIN_HIDDEN_CHARS)
    .reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
}
