import type { ServerResponse } from "node:http";
import { type Received, type Receiver, serveReceiver } from "@shipfox/shared/receiver.fixture";

export const KEY = "sk-test-0123456789abcdef";
export const MODELS = ["model-a", "model-b"];

export interface ModelServer extends Receiver {
  /** What the server does from now on instead of answering well. */
  misbehave(how: Misbehaviour | null): void;
}

type Misbehaviour = "hangs" | "redirects" | "html" | "fails" | "limits" | "no-list" | "foreign-json";
type Dialect = "openai" | "anthropic" | "google";

/**
 * A server that speaks the HTTP protocol of a kind of provider: it asks for the key where its kind wants it, knows the
 * models of `MODELS`, and refuses bodies that its kind would refuse.
 */
export async function serveModels(dialect: Dialect, keyHeader?: { name: string; value: string }): Promise<ModelServer> {
  let behaviour: Misbehaviour | null = null;
  const receiver = await serveReceiver((request, response) => {
    if (behaviour !== null && misbehaves(behaviour, request, response)) return;
    const expected = keyHeader ?? keyOf(dialect);
    if (request.headers[expected.name] !== expected.value) {
      const given = String(request.headers[expected.name]);
      return fail(response, dialect, 401, `Incorrect API key provided: ${given.replace("Bearer ", "")}`);
    }
    if (dialect === "anthropic" && request.headers["anthropic-version"] === undefined) {
      return fail(response, dialect, 400, "anthropic-version: header is required");
    }
    const path = request.path.split("?")[0] ?? "";
    if (path.endsWith("/models")) return send(response, 200, listOf(dialect));
    return answer(dialect, path, request, response);
  });
  return {
    ...receiver,
    misbehave: (how) => {
      behaviour = how;
    },
  };
}

function keyOf(dialect: Dialect): { name: string; value: string } {
  if (dialect === "anthropic") return { name: "x-api-key", value: KEY };
  if (dialect === "google") return { name: "x-goog-api-key", value: KEY };
  return { name: "authorization", value: `Bearer ${KEY}` };
}

function listOf(dialect: Dialect): unknown {
  if (dialect === "google") return { models: MODELS.map((id) => ({ name: `models/${id}`, displayName: `The ${id}` })) };
  if (dialect === "anthropic") return { data: MODELS.map((id) => ({ id, display_name: `The ${id}`, type: "model" })) };
  return { object: "list", data: MODELS.map((id) => ({ id, object: "model" })) };
}

function answer(dialect: Dialect, path: string, request: Received, response: ServerResponse): void {
  const body = JSON.parse(request.body) as Record<string, unknown>;
  const inPath = /\/models\/(.+):generateContent$/.exec(path)?.[1];
  const model = inPath ?? String(body["model"]);
  const isKnown = MODELS.includes(model);
  const unknown = (status: number) => fail(response, dialect, status, `The model ${model} does not exist`);
  if (dialect === "google" && inPath !== undefined && Array.isArray(body["contents"])) {
    if (!isKnown) return unknown(404);
    return send(response, 200, { candidates: [{ content: { role: "model", parts: [{ text: "OK" }] } }] });
  }
  if (dialect === "anthropic" && path.endsWith("/v1/messages") && !path.includes("/v1/v1")) {
    if (!Number.isInteger(body["max_tokens"])) return fail(response, dialect, 400, "max_tokens: Field required");
    if (!isKnown) return unknown(404);
    return send(response, 200, { type: "message", role: "assistant", content: [{ type: "text", text: "OK" }] });
  }
  if (dialect === "openai" && path.endsWith("/chat/completions") && Array.isArray(body["messages"])) {
    if (!isKnown) return unknown(400);
    return send(response, 200, { choices: [{ message: { role: "assistant", content: "OK" } }] });
  }
  if (dialect === "openai" && path.endsWith("/responses") && body["input"] !== undefined) {
    if (!isKnown) return unknown(404);
    return send(response, 200, { object: "response", output: [{ type: "message", content: [] }] });
  }
  return fail(response, dialect, 404, "unknown path");
}

function misbehaves(how: Misbehaviour, request: Received, response: ServerResponse): boolean {
  switch (how) {
    case "hangs":
      return true;
    case "redirects":
      response.writeHead(302, { location: "http://127.0.0.1:1/" }).end();
      return true;
    case "html":
      response.writeHead(200, { "content-type": "text/html" }).end("<h1>Welcome</h1>");
      return true;
    case "fails":
      response.writeHead(500).end("stack trace of the inside");
      return true;
    case "limits":
      send(response, 429, { error: { message: "slow down" } });
      return true;
    case "foreign-json":
      send(response, 500, { secret_of_the_inside: "hunter2" });
      return true;
    case "no-list":
      if (!request.path.includes("/models") || request.path.includes("generateContent")) return false;
      response.writeHead(404).end();
      return true;
  }
}

function fail(response: ServerResponse, dialect: Dialect, status: number, message: string): void {
  const error = dialect === "anthropic" ? { type: "invalid_request_error", message } : { message, code: status };
  send(response, status, { error });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
