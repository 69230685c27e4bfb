const BLOCK = 512;
const MAX_NAME_BYTES = 100;
const REGULAR_FILE = "0";

export interface ArchiveFile {
  /** Relative, with "/", at most 100 bytes. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly contents: Uint8Array;
}

/**
 * The header of a file in a ustar archive, of nobody in particular: owner 0, no names. `mtime` in seconds since 1970. Throws for a
 * path that does not fit.
 */
export function tarHeader({ path, mode, contents }: ArchiveFile, mtime: number): Buffer {
  if (Buffer.byteLength(path) > MAX_NAME_BYTES) throw new Error(`${path} is too long for a tar header`);
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, "0"), offset, "latin1");
  header.write(path, 0, "utf8");
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(contents.length, 124, 11);
  octal(mtime, 136, 11);
  header.fill(" ", 148, 156);
  header.write(REGULAR_FILE, 156, "latin1");
  header.write("ustar\u000000", 257, "latin1");
  octal(0, 329, 7);
  octal(0, 337, 7);
  const sum = header.reduce((total, byte) => total + byte, 0);
  octal(sum, 148, 6);
  header.writeUInt8(0, 154);
  return header;
}

/** What follows the contents of a file up to the next header. */
export function tarPadding({ contents }: ArchiveFile): Buffer {
  return Buffer.alloc((BLOCK - (contents.length % BLOCK)) % BLOCK);
}

/** The end of an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);
