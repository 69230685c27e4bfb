import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { REPOSITORY_ROOT } from "../src/programs.ts";

/** A smoke test of a benchmark: what it says, without figures that mean something. */
async function quick(name: string): Promise<string> {
  const program = `${REPOSITORY_ROOT}/bench/src/main.ts`;
  return (await execa(process.execPath, [program, "--quick", name], { timeout: 280_000 })).stdout;
}

describe("the provisioner's benchmarks", () => {
  it("follow demand up and down: no machine beyond jobs and idle pool, none for nothing, one turn", async () => {
    const said = await quick("scale");
    expect(said).toContain("machines made beyond jobs and idle pool: 0.00, aim ≤ 0: met");
    expect(said).toContain("machines removed without having had a job: 0.00, aim ≤ 0: met");
    expect(said).toContain("turns of the number of machines: 1.00, aim ≤ 1: met");
  });

  it("[docker] make machines for one job and for several at once, never more than allowed", async () => {
    const said = await quick("provision");
    expect(said).toMatch(/^\| from zero \| 1 \|/m);
    expect(said).toMatch(/machines at once, at most: \d\.00, aim ≤ 5: met/);
  });
});
