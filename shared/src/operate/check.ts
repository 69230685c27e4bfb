/** What a check found. `fix` says in words what to do; every state but "ok" has one. */
export type Finding =
  | { readonly state: "ok"; readonly message: string }
  | { readonly state: "warn" | "fail"; readonly message: string; readonly fix: string };

/** One question that a doctor command asks about its machine. Checks run side by side, change nothing that stays, and may be repeated. */
export interface Check {
  readonly name: string;
  /** `signal` is aborted at the deadline. A rejection counts as a failure of the check itself. */
  run(signal: AbortSignal): Promise<Finding>;
}

export interface Result {
  readonly name: string;
  readonly finding: Finding;
  readonly durationMs: number;
}

export const ok = (message: string): Finding => ({ state: "ok", message });
export const warn = (message: string, fix: string): Finding => ({ state: "warn", message, fix });
export const fail = (message: string, fix: string): Finding => ({ state: "fail", message, fix });

const CHECK_LIMIT_MS = 15_000;

/** Runs all checks at once; the results come in the order of the checks. */
export function runChecks(checks: readonly Check[]): Promise<Result[]> {
  return Promise.all(checks.map(runCheck));
}

async function runCheck(check: Check): Promise<Result> {
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(CHECK_LIMIT_MS);
  const tooLate = new Promise<Finding>((resolve) =>
    signal.addEventListener("abort", () =>
      resolve(
        fail(
          `no result within ${CHECK_LIMIT_MS / 1000} s`,
          "Something this check needs does not answer: look at the load of this machine and at the other findings.",
        ),
      ),
    ),
  );
  const finding = await Promise.race([
    check
      .run(signal)
      .catch((error: Error) =>
        fail(`the check failed: ${error.message}`, "Run doctor as the user of the service, with its settings."),
      ),
    tooLate,
  ]);
  return { name: check.name, finding, durationMs: Math.round(performance.now() - startedAt) };
}
