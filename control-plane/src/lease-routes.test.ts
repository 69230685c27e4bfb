import { expect, it } from "vitest";
import { createAnnotationRoutes } from "./modules/annotations/public.ts";
import { projects } from "./modules/projects/public.ts";
import { createRegistryRoutes } from "./modules/registries/public.ts";
import { ServedPlane, type WireStep } from "./modules/runners/served-plane.fixture.ts";
import { executionLost } from "./modules/runs/public.ts";
import { Envelope } from "./modules/secrets/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { TEST_ROOT_KEY } from "./testing/api.ts";

const TAIL_MS = 60_000;
const IMAGE = "registry.example/app:1";

/** The routes of a lease that belong to modules above the runners. */
function routes(store: Store) {
  const base = { store, clock: systemClock, access };
  return [
    ...createAnnotationRoutes({ ...base, settings: { tailMs: TAIL_MS }, workspaceOfRun: async () => null }),
    ...createRegistryRoutes({ ...base, envelope: new Envelope(TEST_ROOT_KEY), projects }),
  ];
}

describeStores("annotations and registry credentials of a lease", (open) => {
  async function serve() {
    const plane = await ServedPlane.start(await open(), { more: routes });
    const start = async () => {
      const { job, runId, session } = await plane.runningJob();
      return { job, runId, session, step: await plane.startedStep(job.lease_token) };
    };
    const annotate = (step: WireStep, token: string | undefined, text = "x") =>
      plane.call("POST", "/runs/jobs/current/annotations", {
        ...(token === undefined ? {} : { token }),
        body: { step_id: step.id, attempt: step.attempt, annotations: [{ context: "default", body: text }] },
      });
    const credential = (token: string | undefined) =>
      plane.call(
        "GET",
        `/runs/jobs/current/registry-credentials?image=${encodeURIComponent(IMAGE)}`,
        token === undefined ? {} : { token },
      );
    const lose = async (fence: number) => {
      const { store, dispatch } = plane.inside;
      const lease = await plane.inside.principal(fence);
      await store.write(async (tx) => {
        const loss = { cause: "runner_lost", message: "gone", avoidedSessionId: null } as const;
        await executionLost(tx, dispatch.runs, lease.executionId, loss, Date.now());
        await dispatch.end(tx, { fence, job_execution_id: lease.executionId }, "expired", Date.now());
      });
    };
    return { plane, start, annotate, credential, lose };
  }

  it("are for the holder of that lease and step only", async () => {
    const { start, annotate, credential } = await serve();
    const mine = await start();
    const other = await start();
    for (const token of [undefined, mine.session, `${mine.step.lease_token}x`]) {
      expect(await annotate(mine.step, token)).toMatchObject({ status: 401, body: { code: "unauthorized" } });
      expect(await credential(token)).toMatchObject({ status: 401, body: { code: "unauthorized" } });
    }
    for (const token of [other.step.lease_token, mine.job.lease_token]) {
      expect(await annotate(mine.step, token)).toMatchObject({ status: 404, body: { code: "step-not-found" } });
    }
    expect(await annotate(mine.step, mine.step.lease_token)).toMatchObject({
      status: 200,
      body: { accounting: { annotation_count: 1, total_body_bytes: 1 } },
    });
  });

  it("come late after a loss: annotations are taken with the tail of the log, credentials are refused and that is recorded once", async () => {
    const { plane, start, annotate, credential, lose } = await serve();
    const { job, runId, step } = await start();
    await lose(job.lease.fence);
    expect(await annotate(step, step.lease_token, "late")).toMatchObject({
      status: 200,
      body: { accounting: { annotation_count: 1 } },
    });
    for (let time = 0; time < 2; time += 1) {
      expect(await credential(step.lease_token)).toMatchObject({ status: 404, body: { code: "lease-not-active" } });
    }
    const { events } = await plane.inside.run(runId);
    expect(events.filter((type) => type === "lease.late_call")).toHaveLength(1);
  });
});
