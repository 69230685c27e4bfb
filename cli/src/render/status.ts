import type { Colors } from "../terminal.ts";

const SYMBOLS: Record<string, string> = {
  pending: "○",
  running: "●",
  succeeded: "✓",
  failed: "✗",
  cancelled: "⊘",
  skipped: "–",
};

/** Text in the colour of a state: of a run, job, step, runner, instance, person or workspace, or of what somebody tried. */
export function inStatusColor(status: string, text: string, colors: Colors): string {
  switch (status) {
    case "succeeded":
    case "online":
    case "active":
    case "done":
      return colors.green(text);
    case "failed":
    case "revoked":
    case "unhealthy":
    case "denied":
    case "suspended":
      return colors.red(text);
    case "running":
    case "busy":
      return colors.cyan(text);
    case "pending":
    case "cancelled":
    case "draining":
    case "planned":
    case "starting":
    case "stopping":
      return colors.yellow(text);
    default:
      return colors.dim(text);
  }
}

export function statusSymbol(status: string, colors: Colors): string {
  return inStatusColor(status, SYMBOLS[status] ?? "?", colors);
}

/** Reasons whose names say nothing to who has not read the protocol. */
const PLAIN_WORDS: Record<string, string> = { default_gate_rejected: "what comes before it did not succeed" };

/** `runner_lost` as people write it. */
export function reasonWords(reason: string): string {
  return PLAIN_WORDS[reason] ?? reason.replaceAll("_", " ");
}
