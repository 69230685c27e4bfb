import type { Envelope, SecretContext } from "./envelope.ts";

/** After a rotation both secrets count for this long, so that the other side can change in its own time. */
const OVERLAP_MS = 24 * 3_600_000;

/** What is sealed. */
interface RotatingSecret {
  readonly current: string;
  readonly previous: string | null;
  /** Milliseconds since the epoch. */
  readonly previousUntil: number;
}

/** Seals a secret that two sides share, beside the one that it replaces; `sealedBefore` null for the first one. */
export function sealNextSecret(
  envelope: Envelope,
  context: SecretContext,
  secret: string,
  { sealedBefore, now }: { sealedBefore: string | null; now: number },
): string {
  const previous = sealedBefore === null ? null : open(envelope, context, sealedBefore).current;
  const next: RotatingSecret = { current: secret, previous, previousUntil: now + OVERLAP_MS };
  return envelope.seal(JSON.stringify(next), context);
}

/** The secrets that count now, newest first. Throws `EnvelopeError`. */
export function openSecrets(envelope: Envelope, context: SecretContext, sealed: string, now: number): string[] {
  const { current, previous, previousUntil } = open(envelope, context, sealed);
  return previous !== null && now < previousUntil ? [current, previous] : [current];
}

function open(envelope: Envelope, context: SecretContext, sealed: string): RotatingSecret {
  return JSON.parse(envelope.open(sealed, context)) as RotatingSecret;
}
