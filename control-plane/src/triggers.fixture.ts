import type { TriggerEventDetail } from "@shipfox/shared/api/trigger-events";
import { onTestFinished } from "vitest";
import { createDefinitionRoutes, DefinitionReader, DefinitionStarter } from "./modules/definitions/public.ts";
import { Evaluator } from "./modules/expressions/public.ts";
import { projects } from "./modules/projects/public.ts";
import { TestPlane } from "./modules/runners/test-plane.ts";
import { startRun } from "./modules/runs/public.ts";
import {
  createFilterEvaluation,
  createTriggerRoutes,
  EventRouting,
  RunEndings,
  Schedules,
  type StartTriggered,
  storeTriggerEvent,
  Subscriptions,
} from "./modules/triggers/public.ts";
import { access } from "./modules/workspaces/public.ts";
import type { RunRow, TriggerEventRow } from "./store/schema.ts";
import type { Store } from "./store/store.ts";
import { serveApi, silentLog, testClock } from "./testing/api.ts";
import { insertMember } from "./testing/rows.ts";

type Delivery = Parameters<typeof storeTriggerEvent>[1];

/** A workflow of one job with these triggers, as YAML of the mapping. */
export function triggered(name: string, triggers: string): string {
  return `name: ${name}\ntriggers:\n${triggers}jobs:\n  build:\n    runner: linux\n    steps: [{ run: 'true' }]\n`;
}

/** A workspace with one project, whose workflows are saved over the API, and what routes events to them. */
export async function startTriggers(store: Store, startOver?: StartTriggered) {
  const armed: number[] = [];
  const arm = (at: number) => void armed.push(at);
  const plane = await TestPlane.start(store, {}, { endings: new RunEndings(arm) });
  const { workspaceId, projectId } = plane;
  const clock = testClock(Date.now());
  const subscriptions = new Subscriptions(arm);
  const starter = new DefinitionStarter((tx, request) => startRun(tx, plane.dispatch.runs, request));
  const start: StartTriggered = startOver ?? ((tx, run) => starter.startTriggered(tx, run));
  const evaluator = new Evaluator();
  const base = { store, clock, log: silentLog, access, subscriptions };
  const routing = () =>
    new EventRouting({
      ...base,
      evaluate: createFilterEvaluation(evaluator),
      start,
      runs: plane.dispatch.runs,
    });
  const api = await serveApi([
    ...createDefinitionRoutes({ ...base, projects, reader: new DefinitionReader([]), starter }),
    ...createTriggerRoutes({ ...base, wake: () => void armed.push(clock.now()) }),
  ]);
  onTestFinished(async () => {
    await api.close();
    await evaluator.close();
  });
  const user = await insertMember(store, workspaceId, "maintainer");
  const [connection] = await store.read((tx) =>
    tx.all<{ id: string }>("select id from connections where workspace_id = ?", [workspaceId]),
  );
  const connectionId = connection?.id ?? "";
  let deliveries = 0;
  return {
    plane,
    clock,
    armed,
    api,
    user,
    start,
    routing,
    schedules: () => new Schedules({ ...base, start }),
    /** Answers the id of the definition; the same file again replaces it. */
    save: async (yaml: string, path = "ci.yml", project = projectId): Promise<string> => {
      const body = { project_id: project, config_path: path, source: "vcs", ref: "main", yaml };
      const saved = await api.call("POST", "/definitions", { user, body });
      if (saved.status !== 200) throw new Error(JSON.stringify(saved.body));
      return saved.body.id;
    },
    receive: async (fields: Partial<Delivery> = {}): Promise<string> => {
      deliveries += 1;
      const delivery = {
        workspaceId,
        provider: "git",
        source: "git",
        event: "push",
        deliveryId: `delivery ${deliveries}`,
        connectionId,
        payload: { ref: "refs/heads/main" },
        untrusted: false,
        receivedAt: clock.now(),
        ...fields,
      };
      return (await store.write((tx) => storeTriggerEvent(tx, delivery))).id;
    },
    event: async (id: string): Promise<TriggerEventDetail> =>
      (await api.call("GET", `/trigger-events/${id}`, { user })).body,
    events: () => store.read((tx) => tx.all<TriggerEventRow>("select * from trigger_events order by received_at, id")),
    runs: () => store.read((tx) => tx.all<RunRow>("select * from runs order by created_at, id")),
  };
}
