import { type AgentApi, MAX_MODELS } from "@shipfox/shared/api/agents";

const ANTHROPIC_VERSION = "2023-06-01";
const PROMPT = "Reply OK";
/** The least that the APIs take; some of them count tokens of thinking too. */
const MAX_ANSWER_TOKENS = 16;
const MAX_MODEL_ID_CHARS = 128;
const MAX_MESSAGE_CHARS = 500;
const MAX_PAGE = 1_000;

/** A place that speaks one of the APIs, with everything that it asks for. `headers` holds the credentials. */
export interface Endpoint {
  readonly api: AgentApi;
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ApiCall {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly body: string | null;
}

export interface ModelName {
  readonly id: string;
  readonly label: string;
}

/** The header in which an API wants its key, and what it wants beside. */
export function keyHeaders(api: AgentApi, key: string | null): Record<string, string> {
  const fixed: Record<string, string> = api === "anthropic-messages" ? { "anthropic-version": ANTHROPIC_VERSION } : {};
  if (key === null) return fixed;
  switch (api) {
    case "anthropic-messages":
      return { ...fixed, "x-api-key": key };
    case "google-generative-ai":
      return { "x-goog-api-key": key };
    case "openai-completions":
    case "openai-responses":
      return { authorization: `Bearer ${key}` };
  }
}

/** The shortest conversation that shows that the model answers. */
export function askCall({ api, baseUrl }: Endpoint, model: string): ApiCall {
  const message = { role: "user", content: PROMPT };
  switch (api) {
    case "openai-completions":
      return post(baseUrl, "/chat/completions", { model, messages: [message], max_tokens: MAX_ANSWER_TOKENS });
    case "openai-responses":
      return post(baseUrl, "/responses", { model, input: PROMPT, max_output_tokens: MAX_ANSWER_TOKENS, store: false });
    case "anthropic-messages":
      return post(anthropicBase(baseUrl), "/messages", { model, messages: [message], max_tokens: MAX_ANSWER_TOKENS });
    case "google-generative-ai": {
      const name = model
        .replace(/^models\//, "")
        .split("/")
        .map(encodeURIComponent)
        .join("/");
      return post(baseUrl, `/models/${name}:generateContent`, {
        contents: [{ role: "user", parts: [{ text: PROMPT }] }],
        generationConfig: { maxOutputTokens: MAX_ANSWER_TOKENS },
      });
    }
  }
}

export function listCall({ api, baseUrl }: Endpoint): ApiCall {
  const url = below(api === "anthropic-messages" ? anthropicBase(baseUrl) : baseUrl, "/models");
  if (api === "anthropic-messages") url.searchParams.set("limit", `${MAX_PAGE}`);
  if (api === "google-generative-ai") url.searchParams.set("pageSize", `${MAX_PAGE}`);
  return { method: "GET", url, body: null };
}

/** Of what a provider answered to `listCall`, at most `MAX_MODELS` models in its order; null when it is no such list. */
export function parseModels(api: AgentApi, answer: unknown): ModelName[] | null {
  const list = api === "google-generative-ai" ? fieldOf(answer, "models") : fieldOf(answer, "data");
  // Some servers of the OpenAI form answer the bare list.
  const entries = Array.isArray(list) ? list : Array.isArray(answer) ? answer : null;
  if (entries === null) return null;
  const models = new Map<string, ModelName>();
  for (const entry of entries) {
    const id = textOf(entry, "id") ?? textOf(entry, "name")?.replace(/^models\//, "");
    if (id === undefined || id === "" || id.length > MAX_MODEL_ID_CHARS) continue;
    const label = textOf(entry, "display_name") ?? textOf(entry, "displayName") ?? id;
    models.set(id, { id, label: label.slice(0, MAX_MODEL_ID_CHARS) });
    if (models.size === MAX_MODELS) break;
  }
  return [...models.values()];
}

/** Whether an answer to `askCall` is one of its API, whatever the model said. */
export function isAnswer(api: AgentApi, answer: unknown): boolean {
  const field = { "openai-completions": "choices", "openai-responses": "output", "anthropic-messages": "content" };
  const name = api === "google-generative-ai" ? "candidates" : field[api];
  return Array.isArray(fieldOf(answer, name));
}

/**
 * What an error answer says for people; null when it has not the form of the APIs, so that nothing else of a server that
 * somebody named is ever shown.
 */
export function errorText(answer: unknown): string | null {
  const error = fieldOf(Array.isArray(answer) ? answer[0] : answer, "error");
  const text = typeof error === "string" ? error : textOf(error, "message");
  return text === undefined ? null : text.replaceAll(/\p{Cc}+/gu, " ").slice(0, MAX_MESSAGE_CHARS);
}

function post(baseUrl: string, path: string, body: unknown): ApiCall {
  return { method: "POST", url: below(baseUrl, path), body: JSON.stringify(body) };
}

/** Its clients name the base with or without the version. */
function anthropicBase(baseUrl: string): string {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
  return url.href;
}

function below(baseUrl: string, path: string): URL {
  const url = new URL(baseUrl);
  url.pathname = url.pathname.replace(/\/+$/, "") + path;
  return url;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === "string" ? field : undefined;
}
