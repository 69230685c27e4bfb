import { ArchiveFault } from "./archive-fault.ts";
import { checkLink, pathParts, shown } from "./archive-path.ts";
import { ByteReader } from "./byte-reader.ts";

const BLOCK = 512;
/** Of a header that only describes the next one: long names. */
const MAX_EXTENSION_BYTES = 64 * 1024;
/** Those who unpack remember some of them. */
const MAX_NAMES_BYTES = 256 * 1024 * 1024;
const CHECKSUM = { start: 148, end: 156 };
const SECOND_MS = 1_000;

/** What an archive may hold. */
export interface ArchiveLimits {
  readonly maxEntries: number;
  /** Of all files, unpacked. */
  readonly maxBytes: number;
}

/** One thing in an archive. Its path, and where a link leads, stay inside of the root. */
export interface ArchiveEntry {
  readonly type: "file" | "folder" | "symlink" | "hardlink";
  /** Never empty. */
  readonly parts: readonly string[];
  /** Where a link leads: the text of a symbolic link, the path in the archive of a hard one. */
  readonly target: string;
  /** Permission bits. */
  readonly mode: number;
  /** Milliseconds. */
  readonly modifiedAt: number;
  /** Bytes of a file. */
  readonly size: number;
  /** To be read before the next entry is asked for; what is not read is passed over. */
  readonly content: AsyncGenerator<Buffer>;
}

type Names = Partial<Record<"path" | "linkpath", string>>;

/**
 * Reads a tar archive (ustar, pax and GNU long names) of somebody who is not trusted, in little memory. Throws ArchiveFault for
 * whatever is broken, is over the limits, leads out of the root, or is neither file, folder nor link.
 */
export async function* readTar(source: AsyncIterable<Buffer>, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry> {
  const reader = new ByteReader(source);
  let entries = 0;
  let bytes = 0;
  let nameBytes = 0;
  let names: Names = {};
  try {
    for (;;) {
      const header = await reader.take(BLOCK);
      if (header === null) throw new ArchiveFault("the archive ends in the middle");
      if (header.every((byte) => byte === 0)) return;
      checkSum(header);
      const kind = String.fromCharCode(header[156] as number);
      const size = numberIn(header, 124, 136);
      if (isExtension(kind)) {
        names = { ...names, ...(await readExtension(reader, kind, size)) };
        continue;
      }
      entries += 1;
      if (entries > limits.maxEntries) throw new ArchiveFault(`the archive has more than ${limits.maxEntries} entries`);
      const path = names.path ?? ustarPath(header);
      nameBytes += path.length;
      if (nameBytes > MAX_NAMES_BYTES) throw new ArchiveFault("the names in the archive are too long together");
      const type = typeOf(kind, path);
      const contentBytes = type === "file" ? size : 0;
      bytes += contentBytes;
      if (bytes > limits.maxBytes)
        throw new ArchiveFault(`the archive has more than ${limits.maxBytes} bytes unpacked`);
      const left = { bytes: contentBytes };
      const content = contentOf(reader, left);
      const entry = entryOf(header, { type, path, target: names.linkpath ?? textIn(header, 157, 257), size, content });
      names = {};
      if (entry !== null) yield entry;
      await skip(reader, left.bytes + padding(contentBytes));
    }
  } finally {
    await reader.close();
  }
}

/** Null for the root itself. */
function entryOf(
  header: Buffer,
  found: {
    type: ArchiveEntry["type"];
    path: string;
    target: string;
    size: number;
    content: AsyncGenerator<Buffer>;
  },
): ArchiveEntry | null {
  const { type, path, target, size, content } = found;
  const parts = pathParts(path);
  if (parts.length === 0) {
    if (type === "folder") return null;
    throw new ArchiveFault("the archive has something without a name");
  }
  if (type === "symlink") checkLink(path, target);
  if (type === "hardlink" && pathParts(target).length === 0)
    throw new ArchiveFault(`the path ${shown(path)} is a link to nothing`);
  return {
    type,
    parts,
    target,
    mode: numberIn(header, 100, 108) & 0o777,
    modifiedAt: numberIn(header, 136, 148) * SECOND_MS,
    size: type === "file" ? size : 0,
    content,
  };
}

function typeOf(kind: string, path: string): ArchiveEntry["type"] {
  switch (kind) {
    case "\0":
    case "0":
    case "7":
      return path.endsWith("/") ? "folder" : "file";
    case "1":
      return "hardlink";
    case "2":
      return "symlink";
    case "5":
      return "folder";
    case "3":
    case "4":
      throw new ArchiveFault(`the path ${shown(path)} is a device`);
    case "6":
      throw new ArchiveFault(`the path ${shown(path)} is a named pipe`);
    default:
      throw new ArchiveFault(`the path ${shown(path)} is of a kind that is not supported (${shown(kind)})`);
  }
}

function isExtension(kind: string): boolean {
  return kind === "x" || kind === "g" || kind === "L" || kind === "K";
}

async function readExtension(reader: ByteReader, kind: string, size: number): Promise<Names> {
  if (size > MAX_EXTENSION_BYTES)
    throw new ArchiveFault(`a header of the archive has more than ${MAX_EXTENSION_BYTES} bytes`);
  const content = await reader.take(size);
  if (content === null) throw new ArchiveFault("the archive ends in the middle");
  await skip(reader, padding(size));
  if (kind === "L") return { path: untilNul(content) };
  if (kind === "K") return { linkpath: untilNul(content) };
  const records = paxRecords(content);
  // The size in the header would be another one, and everything behind it something else.
  if (records.has("size")) throw new ArchiveFault("the archive has a file that is too large for it");
  if (kind === "g") return {};
  const [path, linkpath] = [records.get("path"), records.get("linkpath")];
  return { ...(path === undefined ? {} : { path }), ...(linkpath === undefined ? {} : { linkpath }) };
}

/** `<length> <key>=<value>\n`, the length counting itself. */
function paxRecords(content: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < content.length && content[at] !== 0; ) {
    const space = content.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(content.toString("latin1", at, space));
    const end = at + length;
    const equals = content.indexOf(0x3d, space);
    if (
      !Number.isSafeInteger(length) ||
      end > content.length ||
      equals < 0 ||
      equals >= end ||
      content[end - 1] !== 0x0a
    )
      throw new ArchiveFault("a header of the archive is broken");
    records.set(utf8(content.subarray(space + 1, equals)), utf8(content.subarray(equals + 1, end - 1)));
    at = end;
  }
  return records;
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= CHECKSUM.start && at < CHECKSUM.end ? 0x20 : byte;
  if (sum !== numberIn(header, CHECKSUM.start, CHECKSUM.end))
    throw new ArchiveFault("a header of the archive is broken");
}

function ustarPath(header: Buffer): string {
  const name = textIn(header, 0, 100);
  const isUstar = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? textIn(header, 345, 500) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Octal digits, or with the first bit set a number of 8 bytes at the end of the field. */
function numberIn(header: Buffer, start: number, end: number): number {
  if (((header[start] as number) & 0x80) !== 0) {
    const value = Number(header.readBigUInt64BE(end - 8) & 0x7f_ff_ff_ff_ff_ff_ffn);
    if (!Number.isSafeInteger(value)) throw new ArchiveFault("a number in the archive is too large");
    return value;
  }
  const text = header
    .toString("latin1", start, end)
    .replace(/[\0 ]+$/, "")
    .trimStart();
  if (!/^[0-7]*$/.test(text)) throw new ArchiveFault("a header of the archive is broken");
  return text === "" ? 0 : Number.parseInt(text, 8);
}

function textIn(header: Buffer, start: number, end: number): string {
  return untilNul(header.subarray(start, end));
}

function untilNul(bytes: Buffer): string {
  const nul = bytes.indexOf(0);
  return utf8(nul < 0 ? bytes : bytes.subarray(0, nul));
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ArchiveFault("a name in the archive is not valid UTF-8");
  }
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

async function* contentOf(reader: ByteReader, left: { bytes: number }): AsyncGenerator<Buffer> {
  for await (const piece of reader.pieces(left.bytes)) {
    left.bytes -= piece.length;
    yield piece;
  }
}

async function skip(reader: ByteReader, length: number): Promise<void> {
  let left = length;
  for await (const piece of reader.pieces(length)) left -= piece.length;
  if (left > 0) throw new ArchiveFault("the archive ends in the middle");
}
