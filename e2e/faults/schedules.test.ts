import type { Run } from "@shipfox/shared/api/runs";
import { beforeEach, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, type ProjectHandle } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";
import { WallClock } from "../src/wall-clock.ts";

const SECOND_MS = 1_000;

/** Jobs that no runner takes: only their runs matter. */
const scheduled = (name: string, ...schedules: string[]) => `name: ${name}
runner: nowhere
triggers:
${schedules.map((config, index) => `  t${index}: { source: cron, event: tick, config: ${config} }`).join("\n")}
jobs:
  job: { checkout: false, steps: [{ run: "true" }] }
`;

describe("a schedule", () => {
  const stage = useStage();
  let clock: WallClock;
  let plane: ControlPlane;
  let instance: Instance;

  beforeEach(async () => {
    clock = await WallClock.create(stage);
  });

  async function startAt(time: string): Promise<void> {
    await moveTo(time);
    plane = await ControlPlane.start(stage, { env: clock.env });
    instance = await Instance.create(stage, plane);
  }

  /** The clock of the control plane jumps there, and goes on. */
  async function moveTo(time: string): Promise<void> {
    await clock.jumpTo(`${Math.round((Date.parse(time) - Date.now()) / SECOND_MS)}`);
  }

  async function downUntil(time: string): Promise<void> {
    await plane.kill9();
    await moveTo(time);
    await plane.restart();
    // The user's own token is short-lived by the wall clock.
    await instance.signInAgain();
  }

  const runsOf = async (project: ProjectHandle): Promise<Run[]> =>
    (await instance.api.client.runs.list({ project_id: project.id, limit: 100 })).runs;
  /** By workflow, the times at which its runs were made, to the minute. */
  async function times(project: ProjectHandle): Promise<Record<string, string[]>> {
    const made: Record<string, string[]> = {};
    for (const run of (await runsOf(project)).toReversed())
      (made[run.workflow_name] ??= []).push(run.created_at.slice(0, 16));
    return made;
  }

  it(`${fault(43, "the server was down for days: one run makes up for all times that passed")}`, async () => {
    await startAt("2026-05-04T09:58:00Z");
    const project = await instance.project({
      "hourly.yml": scheduled("Hourly", '{ schedule: "0 * * * *" }'),
      "monthly.yml": scheduled("Monthly", '{ schedule: "0 0 1 * *" }'),
    });
    await downUntil("2026-05-07T13:20:00Z");
    await eventually("the missed run is made", async () => (await runsOf(project)).length > 0);
    await downUntil("2026-05-07T13:59:58Z");
    await eventually("the next run is made", async () => (await runsOf(project)).length > 1);
    expect(await times(project)).toEqual({ Hourly: ["2026-05-07T13:20", "2026-05-07T14:00"] });
  });

  it.each([
    {
      change: "back an hour, so that Paris has 02:30 twice",
      before: "2026-10-24T12:00:00Z",
      looks: ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30", "2026-10-26T01:30"],
      fixed: ["2026-10-25T00:30", "2026-10-26T01:30"],
    },
    {
      change: "forward an hour, so that Paris has no 02:30",
      before: "2026-03-28T12:00:00Z",
      looks: ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:30"],
      fixed: ["2026-03-29T01:00", "2026-03-30T00:30"],
    },
  ])(`${fault(43, "the clock goes $change: a fixed time comes once a day")}`, async ({ before, looks, fixed }) => {
    await startAt(before);
    const project = await instance.project({
      "fixed.yml": scheduled("Fixed", '{ schedule: "30 2 * * *", timezone: Europe/Paris }'),
      "always.yml": scheduled("Always", '{ schedule: "*/30 * * * *", timezone: Europe/Paris }'),
    });
    for (const time of looks) {
      await downUntil(new Date(Date.parse(`${time}:00Z`) - 2 * SECOND_MS).toISOString());
      await eventually(`the runs of ${time} are made`, async () => {
        const { Fixed: once = [], Always: always = [] } = await times(project);
        return always.includes(time) && once.length >= fixed.filter((each) => each <= time).length;
      });
    }
    const made = await times(project);
    expect(made["Fixed"]).toEqual(fixed);
    expect(new Set(made["Always"]).size).toBe(made["Always"]?.length);
  });

  it(`${fault(43, "killed over and over at the due time: one run a time")}`, async () => {
    await startAt("2026-05-04T09:59:55Z");
    const project = await instance.project({ "minutely.yml": scheduled("Minutely", '{ schedule: "* * * * *" }') });
    for (let minute = 0; minute < 4; minute += 1) {
      await downUntil(`2026-05-04T10:0${minute}:58Z`);
      await eventually("the run of the minute is made", async () => (await runsOf(project)).length > minute);
    }
    const { Minutely: made = [] } = await times(project);
    expect(new Set(made).size).toBe(made.length);
  });
});
