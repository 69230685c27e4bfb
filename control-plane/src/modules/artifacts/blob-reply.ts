import { parseRange, partOf } from "../../http/byte-range.ts";
import type { Reply, RequestFacts } from "../../http/route.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { BlobStore } from "./blob-store.ts";
import { placeOf } from "./uploads.ts";

/** The content of a blob, or the part of it that the request asks for. Throws 416 `range-not-satisfiable`. */
export function blobReply(
  blobs: BlobStore,
  blob: BlobRow,
  request: Pick<RequestFacts, "header">,
  more: Record<string, string> = {},
): Reply {
  const etag = `"${blob.sha256}"`;
  const condition = request.header("if-range");
  const wanted = condition === undefined || condition === etag ? parseRange(request.header("range")) : null;
  const { first, last, headers } = wanted
    ? partOf(wanted, blob.size)
    : { first: 0, last: blob.size - 1, headers: { "accept-ranges": "bytes", "content-length": String(blob.size) } };
  return {
    status: wanted ? 206 : 200,
    headers: {
      "content-type": "application/octet-stream",
      ...headers,
      ...more,
      etag,
      "cache-control": "private, no-store",
      "repr-digest": `sha-256=:${Buffer.from(blob.sha256, "hex").toString("base64")}:`,
    },
    chunks: blobs.read(placeOf(blob), first, last + 1 - first),
  };
}
