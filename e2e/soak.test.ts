import { describe, expect, it } from "vitest";
import { randomSeed } from "./soak/options.ts";
import { runnerSoak } from "./soak/runner-soak.ts";
import { complaints, renderSoak } from "./soak/table.ts";
import { useStage } from "./src/stage.ts";

const RUNS = 30;
const LIMIT_MS = 900_000;

describe("a short soak", () => {
  const stage = useStage();

  it("loses no run, line or thing and doubles none while everything is killed at random", {
    timeout: LIMIT_MS,
  }, async () => {
    const say = (line: string) => console.log(`soak: ${line}`);
    const report = await runnerSoak(stage, { runs: RUNS, sandbox: "host", seed: randomSeed() }, { say });
    console.log(renderSoak(report));
    expect(complaints(report)).toEqual([]);
    expect(report.runs).toBeGreaterThanOrEqual(RUNS);
    expect(Object.fromEntries(report.facts)["runner killed"]).toBeGreaterThan(0);
  });
});
