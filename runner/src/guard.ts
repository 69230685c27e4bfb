/**
 * The runner's guard: a small process of its own that renews the leases and holds the lifelines, so that a busy or stuck main
 * loop costs no lease, and a dead one leaves no container. Started by `guard/guard-process.ts`; ends with the runner.
 */
import { writeFileSync } from "node:fs";
import { HeartbeatCaller } from "./guard/heartbeat-call.ts";
import { HeldLease } from "./guard/held-lease.ts";
import { HeldLines } from "./guard/held-lines.ts";
import { MainLoopWatch } from "./guard/main-loop-watch.ts";
import type { FromGuard, GuardStart, ToGuard } from "./guard/messages.ts";

const TICK_MS = 500;
const LET_GO_LIMIT_MS = 5_000;
const OOM_SCORE = "-500";
const EXIT_LET_GO = 1;
const RUNNER_PID = process.ppid;

const lines = new HeldLines();
const leases = new Map<number, HeldLease>();
let serve: ((message: ToGuard) => void) | null = null;

function tell(message: FromGuard): void {
  // A runner that is gone is seen by `disconnect`.
  process.send?.(message, undefined, undefined, () => {});
}

async function hold(id: number, take: () => void | Promise<void>): Promise<void> {
  try {
    await take();
    tell({ kind: "held", id, fault: null });
  } catch (error) {
    tell({ kind: "held", id, fault: error instanceof Error ? error.message : String(error) });
  }
}

/** Everything that hangs on this process ends; the runner, if it wakes up, finds its guard gone and starts anew. */
function letGo(why: string | null): void {
  for (const lease of leases.values()) lease.end();
  if (why !== null)
    process.stderr.write(`${JSON.stringify({ level: 50, name: "shipfox-runner", time: Date.now(), msg: why })}\n`);
  setTimeout(() => process.exit(EXIT_LET_GO), LET_GO_LIMIT_MS);
  void lines.letGo().finally(() => process.exit(why === null ? 0 : EXIT_LET_GO));
}

/** A runner that outlived its life does not heed its own timers: nothing of it is waited for. */
function endLife(): void {
  letGo("the runner outlived its longest life: it is killed with its jobs");
  if (process.ppid === RUNNER_PID) process.kill(RUNNER_PID, "SIGKILL");
}

function start({
  baseUrl,
  certificateAuthority,
  standstillLimitMs,
  lifetimeLimitMs,
}: GuardStart): (message: ToGuard) => void {
  const caller = new HeartbeatCaller(baseUrl, certificateAuthority);
  const watch = new MainLoopWatch({
    limitMs: standstillLimitMs,
    ping: () => tell({ kind: "ping" }),
    onStandstill: () => letGo(`the runner did not answer its guard for ${standstillLimitMs} ms: its jobs are killed`),
  });
  watch.start();
  if (lifetimeLimitMs !== null) setTimeout(endLife, lifetimeLimitMs);
  setInterval(() => {
    for (const lease of leases.values()) lease.tick();
  }, TICK_MS);
  return (message) => {
    switch (message.kind) {
      case "pong":
        return watch.pong();
      case "hold_container":
        return void hold(message.id, () => lines.holdContainer(message.id, message.engine, message.container));
      case "hold_pipe":
        return void hold(message.id, () => lines.holdPipe(message.id, message.path));
      case "hold_processes":
        return void hold(message.id, () => lines.holdProcesses(message.id, message.mark));
      case "release":
        return lines.release(message.id);
      case "lease": {
        const lease = new HeldLease({
          order: message.order,
          caller,
          tell: (news) => tell({ kind: "lease_news", id: message.id, news }),
          mayRenew: () => watch.alive(),
          onPauseMissed: () =>
            letGo("a job could not be made to stand still before its lease ended: all jobs are killed"),
        });
        leases.set(message.id, lease);
        return lease.start();
      }
      case "token":
        return leases.get(message.id)?.useToken(message.token, message.step);
      case "paused":
        return leases.get(message.id)?.confirmPause();
      case "end_lease":
        leases.get(message.id)?.end();
        return void leases.delete(message.id);
      case "start":
        return;
    }
  };
}

// They are meant for the runner, which may still have jobs to finish: systemd and a terminal send them to the whole group.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.once("disconnect", () => letGo(null));
process.on("message", (message: ToGuard) => {
  if (serve !== null) return serve(message);
  if (message.kind !== "start") return;
  serve = start(message.start);
  tell({ kind: "ready" });
});
try {
  // The last to go when memory runs out, where the kernel lets us: with it go all jobs.
  writeFileSync("/proc/self/oom_score_adj", OOM_SCORE);
} catch {
  // Not root, or not Linux.
}
