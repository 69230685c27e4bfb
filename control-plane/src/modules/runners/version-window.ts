/** Runners this many minor versions older or newer than the control plane are served. */
const WINDOW_MINORS = 2;
const VERSION = /^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?$/;

/** `major.minor` of the oldest and the newest runner that is served. */
export interface VersionWindow {
  readonly oldest: string;
  readonly newest: string;
}

export type VersionVerdict =
  | { readonly kind: "accepted"; readonly warning: string | null }
  | { readonly kind: "refused"; readonly message: string };

interface Version {
  readonly major: number;
  readonly minor: number;
}

export function versionWindow(server: string): VersionWindow {
  const { major, minor } = parse(server) ?? { major: 0, minor: 0 };
  return { oldest: `${major}.${Math.max(0, minor - WINDOW_MINORS)}`, newest: `${major}.${minor + WINDOW_MINORS}` };
}

/**
 * Whether a runner of version `runner` works with a control plane of version `server`. Minor versions count, patches and
 * what follows them do not; another major version is out of the window. A runner that names no version is of the published
 * protocol and accepted; one whose version is not understood is accepted with a warning.
 */
export function judgeVersion(server: string, runner: string | null): VersionVerdict {
  if (runner === null || runner === server) return { kind: "accepted", warning: null };
  const [own, other] = [parse(server), parse(runner)];
  if (!own || !other)
    return { kind: "accepted", warning: "the runner's version is not understood; expected one like 1.2.3" };
  const isOlder = other.major < own.major || (other.major === own.major && other.minor < own.minor);
  const { oldest, newest } = versionWindow(server);
  if (other.major !== own.major || Math.abs(other.minor - own.minor) > WINDOW_MINORS) {
    const what = isOlder ? "upgrade the runner" : "upgrade the control plane, or install an older runner";
    return {
      kind: "refused",
      message: `the runner has version ${runner}; this control plane, ${server}, works with ${oldest} to ${newest}: ${what}`,
    };
  }
  if (own.minor === other.minor)
    return { kind: "accepted", warning: `the runner has version ${runner}, the control plane ${server}` };
  const what = isOlder
    ? `upgrade the runner: versions before ${oldest} are refused`
    : `upgrade the control plane: it refuses runners after ${newest}`;
  return { kind: "accepted", warning: `the runner has version ${runner}, the control plane ${server}; ${what}` };
}

function parse(text: string): Version | null {
  const match = VERSION.exec(text);
  return match && { major: Number(match[1]), minor: Number(match[2]) };
}
