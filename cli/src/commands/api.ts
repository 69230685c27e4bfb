import { connectionFailed } from "@shipfox/client/client-error";
import { VERSION } from "@shipfox/shared/version";
import { type Command, InvalidArgumentError } from "commander";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { exitCodeOfStatus } from "../api-failure.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, withExamples } from "../command-context.ts";
import { readStdin } from "../prompts.ts";
import { fileError } from "../read-file.ts";
import { plainText } from "../render/plain-text.ts";
import { openSession, type Session } from "../session.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/** Up to the headers of the answer; its body may be a stream without an end. */
const ANSWER_TIMEOUT_MS = 60_000;
/** More than any route takes. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
const UNAUTHORIZED = 401;

interface ApiOptions {
  file?: string;
  header?: [string, string][];
  include?: true;
  paginate?: true;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly [string, string][];
  readonly body: Buffer | undefined;
}

export function registerApi(program: Command, context: CommandContext): void {
  withExamples(
    program
      .command("api")
      .description("send a request to the API as it is, signed in, and print the answer")
      .argument("<method>", "GET, POST, …", parseMethod)
      .argument("<path>", "path of the API with its query, such as /workspaces", parsePath)
      .option("-f, --file <file>", "send this file as the body; - is stdin")
      .option("-H, --header <header>", "a header, as 'Name: value'; may be repeated", collectHeader)
      .option("-i, --include", "print the status and the headers of the answer first")
      .option("--paginate", "GET all pages, one JSON document a line")
      .action((method: string, path: string, options: ApiOptions) => callApi(context, method, path, options)),
    "shipfox api GET /workspaces",
    "shipfox api POST /projects -f project.json",
    "shipfox api GET '/workflows/runs?project_id=01981f0e-6a5e-7c3b-9c0a-000000000003' --paginate | jq '.runs[].id'",
  );
}

async function callApi(context: CommandContext, method: string, path: string, options: ApiOptions): Promise<void> {
  if (options.paginate && method !== "GET") {
    throw usageError(`--paginate reads pages with GET, not with ${method}.`, "shipfox api GET <path> --paginate");
  }
  const body = options.file === undefined ? undefined : await readBody(context, options.file);
  const session = await openSession(context.env);
  const headers = options.header ?? [];
  for (let next: string | null = path; next !== null; ) {
    const response = await send(session, { method, path: next, headers, body });
    if (options.include) await context.terminal.write(headOf(response));
    if (!response.ok) return await printRefusal(context, response);
    next = options.paginate ? await printPage(context, response, next) : await printBody(context, response);
  }
}

async function send(session: Session, request: Request): Promise<Response> {
  const token = await session.tokens.current();
  const response = await fetchOnce(session, request, token);
  if (response.status !== UNAUTHORIZED) return response;
  const renewed = await session.tokens.renew(token);
  await response.body?.cancel();
  return await fetchOnce(session, request, renewed);
}

async function fetchOnce({ url }: Session, request: Request, token: string): Promise<Response> {
  const headers = new Headers({ accept: "application/json", "user-agent": `shipfox-cli/${VERSION}` });
  if (request.body !== undefined) headers.set("content-type", "application/json");
  for (const [name, value] of request.headers) headers.set(name, value);
  headers.set("authorization", `Bearer ${token}`);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_TIMEOUT_MS);
  try {
    const { method, body } = request;
    const init = { method, headers, body: body && new Uint8Array(body), signal: late.signal };
    // A redirect would carry the token to another place.
    return await fetch(`${url}${request.path}`, { ...init, redirect: "manual" });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw connectionFailed(url, late.signal.aborted ? "it took too long" : (cause as Error).message, error);
  } finally {
    clearTimeout(timer);
  }
}

async function printBody({ terminal }: CommandContext, response: Response): Promise<null> {
  for await (const chunk of response.body ?? []) await terminal.write(chunk);
  return null;
}

/** The body is the answer also of a refusal; people are told in words what it was. */
async function printRefusal(context: CommandContext, response: Response): Promise<void> {
  const { terminal } = context;
  await printBody(context, response);
  terminal.note(`\n${terminal.errorColors.red("✗")} The control plane answered ${response.status}.`);
  terminal.note(`  ${terminal.errorColors.dim("next:")} shipfox open: the description of the API`);
  context.exitCode = exitCodeOfStatus(response.status);
}

/** Answers the path of the next page, or null after the last one. */
async function printPage({ terminal }: CommandContext, response: Response, path: string): Promise<string | null> {
  const text = await response.text();
  const page: unknown = JSON.parse(text);
  const cursor = (page as { next_cursor?: unknown } | null)?.next_cursor;
  await terminal.print(JSON.stringify(page));
  if (typeof cursor !== "string" && typeof cursor !== "number") return null;
  const [bare = "", query] = path.split("?");
  const search = new URLSearchParams(query);
  if (search.get("cursor") === String(cursor)) return null;
  search.set("cursor", String(cursor));
  return `${bare}?${search.toString()}`;
}

function headOf(response: Response): string {
  const lines = [...response.headers].map(([name, value]) => `${name}: ${plainText(value)}`);
  return `HTTP ${response.status}\n${lines.join("\n")}\n\n`;
}

async function readBody({ terminal, cwd }: CommandContext, file: string): Promise<Buffer> {
  const body = file === "-" ? await readStdin(terminal, MAX_BODY_BYTES) : await readBytes(cwd, file);
  if (body.length > MAX_BODY_BYTES)
    throw usageError(`A body may have up to ${MAX_BODY_BYTES} bytes.`, "shipfox api --help");
  return body;
}

async function readBytes(cwd: string, file: string): Promise<Buffer> {
  try {
    return await readFile(resolve(cwd, file));
  } catch (error) {
    throw fileError(file, error, "shipfox api --help");
  }
}

function parseMethod(text: string): string {
  const method = text.toUpperCase();
  if (METHODS.includes(method)) return method;
  throw new InvalidArgumentError(`Expected ${METHODS.join(", ")}.`);
}

function parsePath(text: string): string {
  // Two slashes at its begin, or none, could lead the token to another host.
  if (/^\/(?![/\\])[\u0021-\u007e]*$/.test(text)) return text;
  throw new InvalidArgumentError("Expected a path that begins with one slash, percent-encoded, such as /workspaces.");
}

function collectHeader(text: string, previous: [string, string][] = []): [string, string][] {
  const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([\u0020-\u007e\t]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Expected 'Name: value'.");
  return [...previous, [name, value]];
}
