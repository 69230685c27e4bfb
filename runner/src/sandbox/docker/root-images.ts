import type { JobUser } from "../sandbox.ts";

/** Who steps are in an image of the operator's list: root of the container, with no capability but those the operator adds. */
export const ROOT: JobUser = { uid: 0, gid: 0 };

/**
 * Capabilities that an operator may give back. They count only for steps that are root. Not to be had: what undoes a barrier
 * (NET_ADMIN, NET_RAW), the kernel's protection (SYS_*, MKNOD, BPF, …) or the main process of the container (KILL).
 */
export const ADDABLE_CAPABILITIES = [
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "NET_BIND_SERVICE",
  "SETGID",
  "SETUID",
  "SYS_CHROOT",
] as const;

export type AddableCapability = (typeof ADDABLE_CAPABILITIES)[number];

/** Throws a sentence for people on a pattern that could name more images than it seems to. */
export function checkRootImage(pattern: string): void {
  const star = pattern.indexOf("*");
  if (pattern === "" || (star !== -1 && (star !== pattern.length - 1 || !/[/:]\*$/.test(pattern)))) {
    throw new Error(
      `"${pattern}" is not an image: write the name as jobs do, such as node:24, or everything below a name, such as registry.example/team/* or node:*.`,
    );
  }
}

/** Names are compared as they are written: `node:24` in the list does not allow `docker.io/library/node:24`. */
export function mayBeRoot(image: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? image.startsWith(pattern.slice(0, -1)) && !image.includes("..") : image === pattern,
  );
}
