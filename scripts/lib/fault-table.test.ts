import { describe, expect, it } from "vitest";
import { faultTable } from "./fault-table.ts";

describe("the table of faults", () => {
  it("has a line for each fault, in order, with the results of its tests", () => {
    const name = (number: number, fault: string, variant: string) =>
      `e2e/x.test.ts > a > [fault ${number}] ${fault}: ${variant}`;
    expect(
      faultTable([
        { name: name(12, "renewal fails", "host"), state: "passed" },
        { name: name(3, "runner killed", "docker"), state: "passed" },
        { name: name(3, "runner killed", "host"), state: "failed" },
        { name: "e2e/x.test.ts > something else", state: "passed" },
      ]),
    ).toEqual(["fault  3  runner killed  1 passed, 1 failed", "fault 12  renewal fails  1 passed"]);
  });

  it("is empty without faults", () => {
    expect(faultTable([{ name: "a > b", state: "passed" }])).toEqual([]);
  });
});
