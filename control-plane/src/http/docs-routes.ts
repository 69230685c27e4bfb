import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ApiError, ERROR_CODES, type ErrorCode } from "@shipfox/shared/errors";
import { z } from "zod";
import { escapeHtml, page } from "./html.ts";
import { type Reply, type Route, route } from "./route.ts";

const TAG = "Operations";
const HTML = "text/html; charset=utf-8";
const CACHE = "public, max-age=3600";
/** Nothing from anywhere else, and no script but the explorer's own files; it sets style attributes of its own. */
const EXPLORER_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const EXPLORER_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Shipfox API</title>
<link rel="stylesheet" href="/docs/files/swagger-ui.css"></head>
<body><div id="explorer"></div>
<script src="/docs/files/swagger-ui-bundle.js"></script><script src="/docs/files/start.js"></script></body></html>
`;
const START = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#explorer", deepLinking: true, docExpansion: "none", validatorUrl: null });\n`;

const FILES = {
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "swagger-ui.css": "text/css; charset=utf-8",
  "start.js": "text/javascript; charset=utf-8",
} as const;
type FileName = keyof typeof FILES;

const explainedErrorSchema = z.object({ code: z.string(), status: z.int(), meaning: z.string() });
const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

/** The explorer of /openapi.json, which needs nothing from the internet, and a page for every error code. */
export function createDocsRoutes(): Route[] {
  return [
    route({
      method: "GET",
      path: "/docs",
      tag: TAG,
      summary: "This description to read and try, in a browser",
      credential: "none",
      responses: { 200: "text" },
      produces: ["text/html"],
      handle: async () => ({
        status: 200,
        body: EXPLORER_PAGE,
        headers: { "content-type": HTML, "content-security-policy": EXPLORER_POLICY },
      }),
    }),
    route({
      method: "GET",
      path: "/docs/files/{file}",
      tag: TAG,
      summary: "What the explorer is made of",
      credential: "none",
      params: z.object({ file: z.string().meta({ description: "Name of the file" }) }),
      responses: { 200: "text" },
      produces: ["text/javascript", "text/css"],
      errors: ["not-found"],
      handle: async ({ params: { file } }) => {
        if (!Object.hasOwn(FILES, file)) throw new ApiError("not-found", "the explorer has no such file");
        const name = file as FileName;
        return {
          status: 200,
          body: await explorerFile(name),
          headers: { "content-type": FILES[name], "cache-control": CACHE },
        };
      },
    }),
    route({
      method: "GET",
      path: "/docs/errors/{code}",
      tag: TAG,
      summary: "What an error code means; a page for browsers",
      credential: "none",
      params: z.object({ code: z.string().meta({ description: "The code of an error" }) }),
      responses: { 200: explainedErrorSchema },
      errors: ["not-found"],
      handle: async ({ params: { code }, request }) => {
        if (!isErrorCode(code)) throw new ApiError("not-found", "there is no such error code; see /openapi.json");
        const [status, meaning] = ERROR_CODES[code];
        return request.header("accept")?.includes("text/html")
          ? errorPage(code, status, meaning)
          : { status: 200, body: { code, status, meaning } };
      },
    }),
  ];
}

function errorPage(code: string, status: number, meaning: string): Reply {
  const body = `<h1>${escapeHtml(code)}</h1><p>${escapeHtml(meaning)}</p><p>It comes with the status ${status}.</p>
<p><a href="/docs">API explorer</a></p>`;
  return { status: 200, body: page(code, body), headers: { "content-type": HTML } };
}

/** Read from the package when first asked for; the names are ours, never the client's. */
async function explorerFile(name: FileName): Promise<Buffer> {
  if (name === "start.js") return Buffer.from(START);
  const folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  return await readFile(join(folder, name));
}
