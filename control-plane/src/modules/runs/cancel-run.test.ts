import { expect, it } from "vitest";
import { describeStore } from "../../store/testing.ts";
import { EXECUTIONS_OF } from "./cancel-run.ts";

describeStore("sqlite", "a forced cancel of a run that is being cancelled", (open) => {
  it("finds the executions of the run without looking at those of others", async () => {
    const store = await open();
    const plan = await store.read((tx) => tx.all<{ detail: string }>(`explain query plan ${EXECUTIONS_OF}`, ["x"]));
    expect(plan.map(({ detail }) => detail).filter((step) => step.startsWith("SCAN"))).toEqual([]);
  });
});
