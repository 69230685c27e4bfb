import type { Transform } from "node:stream";
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from "node:zlib";

/** Artifacts are for people, who unpack gzip everywhere; caches are for runners, to which it must be fast. */
export type Compression = "gzip" | "zstd";

const GZIP_LEVEL = 4;
const ZSTD_LEVEL = 3;

export function compressor(compression: Compression): Transform {
  if (compression === "gzip") return createGzip({ level: GZIP_LEVEL });
  return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
}

export function decompressor(compression: Compression): Transform {
  return compression === "gzip" ? createGunzip() : createZstdDecompress();
}
