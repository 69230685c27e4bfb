import { describe, expect, it } from "vitest";
import { provisionerSoak } from "../soak/provisioner-soak.ts";
import { complaints, renderSoak } from "../soak/table.ts";
import { useStage } from "../src/stage.ts";

const RUNS = 8;
/** Its kills: provisioner, control plane and runners. */
const SEED = 5;
const LIMIT_MS = 900_000;

describe("a short soak of the provisioner", () => {
  const stage = useStage();

  it("loses and doubles no job, leaks no machine and deletes none under its job while everything is killed and the provider fails", {
    timeout: LIMIT_MS,
  }, async () => {
    const say = (line: string) => console.log(`soak: ${line}`);
    const report = await provisionerSoak(stage, { runs: RUNS, seed: SEED }, { say });
    console.log(renderSoak(report));
    expect(complaints(report)).toEqual([]);
    expect(report.runs).toBeGreaterThanOrEqual(RUNS);
    const facts = Object.fromEntries(report.facts);
    expect(facts["provisioner killed"]).toBeGreaterThan(0);
    expect(facts["runner killed"]).toBeGreaterThan(0);
    expect(facts["machines"]).toBeGreaterThan(RUNS);
  });
});
