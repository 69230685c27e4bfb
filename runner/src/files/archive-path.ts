import { ArchiveFault } from "./archive-fault.ts";

const MAX_PATH_BYTES = 4_096;
const MAX_NAME_BYTES = 255;
const MAX_SHOWN_CHARS = 120;

/** The names on the way to something in an archive; empty for its root. Throws ArchiveFault for a path that leads elsewhere. */
export function pathParts(path: string): string[] {
  if (path.startsWith("/")) throw fault(path, "is absolute");
  if (path.includes("\0")) throw fault(path, "holds a NUL");
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw fault(path, `is longer than ${MAX_PATH_BYTES} bytes`);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw fault(path, "leaves the workspace");
  if (parts.some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES))
    throw fault(path, `has a name longer than ${MAX_NAME_BYTES} bytes`);
  return parts;
}

/**
 * Refuses a symbolic link that leads out of the workspace. Only its beginning may go upwards: behind a folder that is a link
 * itself, `..` would lead somewhere else than the text says.
 */
export function checkLink(path: string, target: string): void {
  const told = `is a link to ${shown(target)}, which`;
  if (target === "" || target.includes("\0")) throw fault(path, `${told} is no path`);
  if (target.startsWith("/")) throw fault(path, `${told} leaves the workspace`);
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const upwards = parts.findIndex((part) => part !== "..");
  const ups = upwards < 0 ? parts.length : upwards;
  if (parts.slice(ups).includes("..")) throw fault(path, `${told} goes up again behind a folder`);
  if (ups > pathParts(path).length - 1) throw fault(path, `${told} leaves the workspace`);
}

/** For messages: short, on one line. */
export function shown(text: string): string {
  const plain = JSON.stringify(text);
  return plain.length > MAX_SHOWN_CHARS ? `${plain.slice(0, MAX_SHOWN_CHARS)}…"` : plain;
}

function fault(path: string, why: string): ArchiveFault {
  return new ArchiveFault(`the path ${shown(path)} ${why}`);
}
