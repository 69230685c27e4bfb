import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { parseRange, partOf } from "../../http/byte-range.ts";
import { type Reply, type RequestFacts, type Route, route } from "../../http/route.ts";
import { findReleasedFile, type ReleasedFile } from "./released-file.ts";

const TAG = "Operations";
const INSTALLER_FILE = fileURLToPath(new URL("../../../../install.sh", import.meta.url));
/** Asked for anew each time: after an upgrade the old one would fetch what is not there any more. */
const CACHE = "no-cache";

/** In a release: beside `lib`, where the program lies. */
const OWN_FOLDER = resolve(import.meta.dirname, "..", "releases");

/** The installer and what it installs, so that the versions on a host are those of its control plane. */
export function createReleaseRoutes({ releasesDir = OWN_FOLDER }: { releasesDir?: string }): Route[] {
  return [
    route({
      method: "GET",
      path: "/install.sh",
      tag: TAG,
      summary: "The installer: `curl -fsSL $URL/install.sh | sudo sh -s -- runner --url $URL`",
      credential: "none",
      responses: { 200: "text" },
      produces: ["text/x-shellscript"],
      handle: async () => ({
        status: 200,
        body: await readFile(INSTALLER_FILE),
        headers: { "content-type": "text/x-shellscript; charset=utf-8", "cache-control": CACHE },
      }),
    }),
    route({
      method: "GET",
      path: "/releases/{file}",
      tag: TAG,
      summary: "A file of the release: a tarball, or SHA256SUMS, which lists them. Takes `Range` and `If-None-Match`",
      credential: "none",
      params: z.object({ file: z.string().meta({ description: "Name of the file" }) }),
      responses: { 200: "file", 206: "file", 304: null },
      errors: ["not-found", "range-not-satisfiable"],
      handle: async ({ params, request }) => {
        return fileReply(await findReleasedFile(releasesDir, params.file), request);
      },
    }),
  ];
}

function fileReply(file: ReleasedFile, request: RequestFacts): Reply {
  const { size, etag } = file;
  const headers = { etag, "cache-control": CACHE, "accept-ranges": "bytes" };
  if (names(request.header("if-none-match"), etag)) return { status: 304, headers };
  const condition = request.header("if-range");
  const wanted = condition === undefined || condition === etag ? parseRange(request.header("range")) : null;
  const part = wanted
    ? partOf(wanted, size)
    : { first: 0, last: size - 1, headers: { "content-length": String(size) } };
  return {
    status: wanted ? 206 : 200,
    headers: { ...headers, ...part.headers, "content-type": "application/octet-stream" },
    chunks: file.read(part.first, part.last),
  };
}

function names(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((tag) => ["*", etag, `W/${etag}`].includes(tag.trim()));
}
