import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

const NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/";

/** An error as EC2 answers it. */
export class ApiFault extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** What was sent: `Filter.1.Value.2=x` is `{ Filter: { 1: { Value: { 2: "x" } } } }`. */
export interface Params {
  readonly [name: string]: string | Params | undefined;
}

export function parseParams(body: string): Params {
  const root: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(body)) {
    const parts = name.split(".");
    const last = parts.pop() ?? "";
    let node = root;
    for (const part of parts) node = (node[part] ??= {}) as Record<string, unknown>;
    node[last] = value;
  }
  return root as Params;
}

export function textAt(params: Params, ...path: string[]): string | undefined {
  let node: string | Params | undefined = params;
  for (const part of path) node = typeof node === "object" ? node[part] : undefined;
  return typeof node === "string" ? node : undefined;
}

/** The members of a list, which EC2 numbers from 1. */
export function membersAt(params: Params, name: string): Params[] {
  return listAt(params, name).filter((member) => typeof member === "object");
}

/** The same for a list of texts. */
export function textsAt(params: Params, name: string): string[] {
  return listAt(params, name).filter((member) => typeof member === "string");
}

function listAt(params: Params, name: string): (string | Params | undefined)[] {
  const list = params[name];
  return typeof list === "object" ? Object.values(list) : [];
}

export type Xml = string | number | boolean | undefined | readonly Xml[] | { readonly [name: string]: Xml };

/** Lists are `<item>`s; what is undefined is left out. */
function xmlOf(value: Xml): string {
  if (Array.isArray(value)) return value.map((item) => `<item>${xmlOf(item)}</item>`).join("");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([name, inner]) => (inner === undefined ? "" : `<${name}>${xmlOf(inner)}</${name}>`))
      .join("");
  return String(value ?? "").replace(/[<>&]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

export function replyXml(action: string, content: { readonly [name: string]: Xml }): string {
  const inner = xmlOf({ requestId: crypto.randomUUID(), ...content });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="${NAMESPACE}">${inner}</${action}Response>`;
}

export function faultXml({ code, message }: ApiFault): string {
  const errors = xmlOf({ Errors: { Error: { Code: code, Message: message } }, RequestID: crypto.randomUUID() });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Response>${errors}</Response>`;
}

export interface Key {
  readonly id: string;
  readonly secret: string;
}

/** Checks Signature Version 4: that the holder of the key signed just this request, for this region and for EC2. */
export function checkSignature(
  { headers, method = "", url = "" }: IncomingMessage,
  body: Buffer,
  key: Key,
  region: string,
) {
  const [, scope = "", signed = "", signature] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  if (signature === undefined) throw new ApiFault("MissingAuthenticationToken", "the request is not signed", 403);
  const [id, date = "", ...rest] = scope.split("/");
  if (id !== key.id)
    throw new ApiFault("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
  const names = signed.split(";");
  const isWhole = ["host", "x-amz-date"].every((name) => names.includes(name));
  const canonical = [
    method,
    url,
    "",
    ...names.map((name) => `${name}:${String(headers[name]).trim()}`),
    "",
    signed,
    createHash("sha256").update(body).digest("hex"),
  ].join("\n");
  const text = [
    "AWS4-HMAC-SHA256",
    headers["x-amz-date"],
    [date, ...rest].join("/"),
    createHash("sha256").update(canonical).digest("hex"),
  ].join("\n");
  const signingKey = [date, region, "ec2", "aws4_request"].reduce<string | Buffer>(
    (former, part) => createHmac("sha256", former).update(part).digest(),
    `AWS4${key.secret}`,
  );
  if (!isWhole || createHmac("sha256", signingKey).update(text).digest("hex") !== signature)
    throw new ApiFault("SignatureDoesNotMatch", "the signature is not that of this request", 403);
}
