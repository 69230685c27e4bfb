import { z } from "zod";
import type { Need } from "./caller.ts";
import type { Example } from "./examples.ts";

export interface CallOptions {
  readonly token?: string | null;
  /** Sent as JSON; text goes out as it is. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Put behind the path: a query, or a slash. */
  readonly suffix?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

type JsonSchema = Record<string, unknown>;

interface Content {
  readonly schema: JsonSchema;
  readonly example?: unknown;
}

interface Operation {
  readonly security?: readonly Readonly<Record<string, unknown>>[];
  readonly "x-needs"?: Need;
  readonly "x-audit"?: string;
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Content>> };
  readonly parameters?: unknown;
  readonly responses: Readonly<Record<string, { content?: Readonly<Record<string, Content>> }>>;
}

interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

/** The server's description of itself, and calls that are held against it. */
export class Contract {
  readonly #url: string;
  readonly #document: OpenApiDocument;
  /** `POST /projects` and the statuses it was seen to answer. */
  readonly #seen = new Map<string, Set<number>>();
  readonly #compiled = new Map<JsonSchema, z.ZodType>();
  /** The first success of each route. */
  readonly examples = new Map<string, Example>();

  private constructor(url: string, document: OpenApiDocument) {
    this.#url = url;
    this.#document = document;
  }

  static async read(url: string): Promise<Contract> {
    const { status, body } = await send(url, "GET", "/openapi.json");
    if (status !== 200) throw new Error(`/openapi.json answered ${status}`);
    return new Contract(url, body as OpenApiDocument);
  }

  /** All routes, as `POST /projects/{projectId}/sync`. */
  get routes(): string[] {
    return Object.entries(this.#document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
  }

  /** The names of the credentials that a route takes; none for an open one. */
  securityOf(route: string): string[] {
    return (this.operation(route).security ?? []).flatMap((way) => Object.keys(way));
  }

  operation(route: string): Operation {
    const [method = "", path = ""] = route.split(" ");
    const operation = this.#document.paths[path]?.[method.toLowerCase()];
    if (!operation) throw new Error(`${route} is not in /openapi.json`);
    return operation;
  }

  seen(route: string): number[] {
    return [...(this.#seen.get(route) ?? [])];
  }

  /** Calls a route with its path parameters filled in and checks status, content type and body of the answer. */
  async call(route: string, params: Readonly<Record<string, string>>, options: CallOptions = {}): Promise<Answer> {
    const [method = "", template = ""] = route.split(" ");
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? `missing-${name}`);
    const answer = await send(this.#url, method, `${path}${options.suffix ?? ""}`, options);
    const statuses = this.#seen.get(route) ?? new Set();
    this.#seen.set(route, statuses.add(answer.status));
    this.check(route, answer);
    if (answer.status < 400 && !this.examples.has(route)) {
      const request = typeof options.body === "string" ? undefined : options.body;
      this.examples.set(route, { request, status: answer.status, reply: answer.body ?? undefined });
    }
    return answer;
  }

  /** What is wrong with the examples that the document gives for a route. */
  /** Examples that are not what the schemas say, and answers and needed requests in JSON without one; of several answers one is enough. */
  faultsOfExamples(route: string): string[] {
    const { requestBody, responses } = this.operation(route);
    const replies = Object.entries(responses).filter(([status]) => Number(status) < 400);
    const places = [
      ["request", requestBody?.content["application/json"]] as const,
      ...replies.map(([status, { content }]) => [status, content?.["application/json"]] as const),
    ];
    const given = places.filter(([, content]) => content?.example !== undefined);
    const isShown = (wanted: (place: string) => boolean) =>
      given.some(([place]) => wanted(place)) || !places.some(([place, content]) => content && wanted(place));
    const missing = [
      ...(!requestBody?.required || isShown((place) => place === "request")
        ? []
        : [`${route}: no example of a request`]),
      ...(isShown((place) => place !== "request") ? [] : [`${route}: no example of an answer`]),
    ];
    const wrong = given.flatMap(([place, content]) => {
      const result = this.#schema((content as Content).schema).safeParse(content?.example);
      return result.success ? [] : [`${route} ${place}: ${z.prettifyError(result.error)}`];
    });
    return [...missing, ...wrong];
  }

  /** Throws when the answer is not one that the document announces. */
  check(route: string, answer: Answer): void {
    const response = this.operation(route).responses[`${answer.status}`];
    if (!response) throw new Error(`${route}: the status ${answer.status} is not described (${answer.text})`);
    const type = answer.headers.get("content-type")?.split(";")[0];
    if (!response.content) {
      if (answer.text !== "") throw new Error(`${route}: ${answer.status} has a body although none is described`);
      return;
    }
    const described = response.content[type ?? ""];
    if (!described) throw new Error(`${route}: ${answer.status} came as ${type}, which is not described`);
    if (type !== "application/json") return;
    const result = this.#schema(described.schema).safeParse(answer.body);
    if (!result.success) throw new Error(`${route}: ${answer.status} ${z.prettifyError(result.error)}\n${answer.text}`);
  }

  #schema(schema: JsonSchema): z.ZodType {
    const known = this.#compiled.get(schema) ?? this.#compile(schema);
    this.#compiled.set(schema, known);
    return known;
  }

  #compile(schema: JsonSchema): z.ZodType {
    const definitions = { ...schema, $defs: this.#document.components.schemas };
    const text = JSON.stringify(definitions)
      .replaceAll("#/components/schemas/", "#/$defs/")
      // Patterns are Unicode patterns; zod compiles them as plain ones.
      .replaceAll("\\\\p{Cc}", "\\\\u0000-\\\\u001f\\\\u007f-\\\\u009f")
      .replaceAll("\\\\p{Cf}", "\\\\u00ad\\\\u200b-\\\\u200f\\\\ufeff");
    return z.fromJSONSchema(JSON.parse(text));
  }
}

async function send(url: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { token, body, headers } = options;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = isStream(response) ? await firstFrame(response) : await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
}

function isStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
}

/** Of a stream, which may have no end. */
async function firstFrame(response: Response): Promise<string> {
  let text = "";
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (text.includes("event: ")) break;
  }
  return text;
}
