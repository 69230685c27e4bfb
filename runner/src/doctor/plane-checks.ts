import { isIP } from "node:net";
import { type Check, fail, ok, warn } from "@shipfox/shared/operate/check";
import type { PlaneAnswer, PlaneProbe } from "./plane-probe.ts";

const SLOW_MS = 500;
const WARN_SKEW_MS = 5_000;
const MAX_SKEW_MS = 60_000;
/** The Date header counts whole seconds. */
const DATE_STEP_MS = 1_000;
const DAY_MS = 86_400_000;
const WARN_CERTIFICATE_DAYS = 14;
const TLS_CODE = /CERT|SIGNATURE|SELF_SIGNED|ISSUER|SSL|TLS|EPROTO/;

/** Name, TLS, answer and clock of the control plane. */
export function planeChecks(probe: PlaneProbe): Check[] {
  return [
    { name: "dns", run: () => checkName(probe) },
    { name: "tls", run: () => checkTls(probe) },
    { name: "control plane", run: () => checkAnswer(probe) },
    { name: "clock", run: () => checkClock(probe) },
  ];
}

async function checkName(probe: PlaneProbe) {
  const host = probe.url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0) return ok(`${host} is an address: no name to look up`);
  try {
    return ok(`${host} is ${(await probe.addresses()).join(", ")}`);
  } catch (error) {
    return fail(
      `${host} has no address (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
      "Correct SHIPFOX_API_URL, or the name servers of this machine: see /etc/resolv.conf and /etc/hosts.",
    );
  }
}

async function checkTls(probe: PlaneProbe) {
  if (probe.url.protocol === "http:") {
    if (isLoopback(probe.url.hostname)) return ok("not used, and not needed on this machine's own loopback");
    return warn(
      "not used: tokens and logs travel readable for everybody in between",
      "Put a proxy with TLS in front of the control plane and use https in SHIPFOX_API_URL.",
    );
  }
  let answers: PlaneAnswer[];
  try {
    answers = await probe.answers();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (TLS_CODE.test(code)) {
      return fail(
        `the certificate is not accepted: ${message} (${code})`,
        "For a certificate authority of your own, set SHIPFOX_RUNNER_CA_FILE to its PEM file; else renew the certificate or correct the name in SHIPFOX_API_URL.",
      );
    }
    return unanswered();
  }
  const endsAt = answers[0]?.certificateEndsAt ?? null;
  if (endsAt === null) return ok("the certificate is accepted");
  const days = Math.floor((endsAt - Date.now()) / DAY_MS);
  if (days >= WARN_CERTIFICATE_DAYS) return ok(`the certificate is accepted, for ${days} more days`);
  return warn(`the certificate ends in ${days} days`, "Renew the certificate of the control plane.");
}

async function checkAnswer(probe: PlaneProbe) {
  let answers: PlaneAnswer[];
  try {
    answers = await probe.answers();
  } catch (error) {
    return fail(
      `${probe.url.origin} does not answer: ${describe(error)}`,
      "Start the control plane, correct SHIPFOX_API_URL, or let this machine through to it: firewall, proxy, route.",
    );
  }
  const status = answers[0]?.status ?? 0;
  if (status === 404) {
    return fail(
      `${probe.url.origin} answers, but not as a Shipfox control plane (HTTP 404)`,
      "Correct SHIPFOX_API_URL: it is the address that the control plane prints when it starts.",
    );
  }
  if (status !== 200) {
    return fail(
      `${probe.url.origin} answers with HTTP ${status}`,
      "Look at the control plane's log, or at that of the proxy in front of it.",
    );
  }
  const times = answers.map((answer) => answer.durationMs).sort((left, right) => left - right);
  const median = Math.round(times[Math.floor(times.length / 2)] ?? 0);
  if (median <= SLOW_MS) return ok(`answers in ${median} ms`);
  return warn(
    `answers only after ${median} ms`,
    "Each job makes several calls, so it starts later by as much. Bring the runner nearer, or look at the load of both machines and at the proxy between them.",
  );
}

async function checkClock(probe: PlaneProbe) {
  let answers: PlaneAnswer[];
  try {
    answers = await probe.answers();
  } catch {
    return unanswered();
  }
  const answer = answers[0];
  if (answer === undefined || answer.date === null)
    return warn("unknown: the control plane sends no Date", "Let the proxy in front of it pass the Date header on.");
  // Its clock shows a second that began at most a step before; anything within that step is no difference.
  const behind = answer.askedAt - (answer.date + DATE_STEP_MS);
  const ahead = answer.date - answer.askedAt;
  const skewMs = Math.max(0, behind, ahead);
  const text = `${(skewMs / 1000).toFixed(1)} s ${behind > ahead ? "ahead of" : "behind"} the control plane`;
  const fix = "Run a time service such as chrony or systemd-timesyncd on both machines.";
  if (skewMs > MAX_SKEW_MS) return fail(`this machine is ${text}`, fix);
  if (skewMs > WARN_SKEW_MS) return warn(`this machine is ${text}`, fix);
  return ok("agrees with the control plane's");
}

/** The one check that says why is "control plane". */
export function unanswered() {
  return warn("unknown: the control plane does not answer", 'See "control plane".');
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return (error as Error).message;
}
