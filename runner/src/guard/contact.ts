import type { ContactFailure } from "../control-plane/contact-failure.ts";

/**
 * Whether a job may go on while the control plane does not answer. The rule: a job runs only while its lease certainly holds
 * (less than `lookAfterMs` since the sending of the last answered heartbeat), or while the plane is known to be down, so that
 * nobody can give the job away. In doubt it stands still until an answer comes; the first answer decides.
 */
export interface Contact {
  readonly phase: "held" | "plane_down" | "paused" | "over";
  /** When the last answered heartbeat was sent. All times are milliseconds of one clock that counts suspend. */
  readonly answeredAt: number;
  /** How the newest call since then failed; null when none did. */
  readonly failure: Exclude<ContactFailure, "lease_gone"> | null;
}

export interface ContactLimits {
  /** Short of the lease's term by the time that stopping the job may take. */
  readonly lookAfterMs: number;
  /** Without an answer for so long the job is given up. */
  readonly outageLimitMs: number;
}

export type ContactEvent =
  | { kind: "answered"; sentAt: number; at: number }
  | { kind: "failed"; how: ContactFailure; at: number }
  | { kind: "tick"; at: number };

/** `go_on` is only news: the plane is down and the job keeps running. `kill` and `give_up` are the last action. */
export type ContactAction = "none" | "go_on" | "pause" | "resume" | "kill" | "give_up";

export interface ContactDecision {
  readonly contact: Contact;
  readonly action: ContactAction;
}

export function newContact(claimedAt: number): Contact {
  return { phase: "held", answeredAt: claimedAt, failure: null };
}

export function decideContact(contact: Contact, event: ContactEvent, limits: ContactLimits): ContactDecision {
  if (contact.phase === "over") return { contact, action: "none" };
  if (event.kind === "answered") {
    const answeredAt = Math.max(contact.answeredAt, event.sentAt);
    return judge({ ...contact, answeredAt, failure: null }, event.at, limits);
  }
  if (event.kind === "tick") return judge(contact, event.at, limits);
  if (event.how === "lease_gone") return { contact: { ...contact, phase: "over" }, action: "kill" };
  return judge({ ...contact, failure: event.how }, event.at, limits);
}

function judge(contact: Contact, at: number, limits: ContactLimits): ContactDecision {
  const { phase, failure } = contact;
  const unansweredMs = at - contact.answeredAt;
  const enter = (next: Contact["phase"], action: ContactAction): ContactDecision =>
    next === phase ? { contact, action: "none" } : { contact: { ...contact, phase: next }, action };
  if (unansweredMs >= limits.outageLimitMs) return enter("over", "give_up");
  // Not by time alone: a job that stands still goes on only after an answer, which also moved `answeredAt`.
  if (unansweredMs < limits.lookAfterMs) return enter("held", phase === "paused" ? "resume" : "none");
  if (phase === "paused") return enter("paused", "none");
  return failure === "plane_down" ? enter("plane_down", "go_on") : enter("paused", "pause");
}
