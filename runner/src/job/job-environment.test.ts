import { describe, expect, it } from "vitest";
import { JobEnvironment } from "./job-environment.ts";

describe("the environment of a job", () => {
  it("gives later values and later folders precedence", () => {
    const environment = new JobEnvironment();
    expect(environment.addVariables({ A: "1", B: "1" })).toBeNull();
    expect(environment.addVariables({ A: "2" })).toBeNull();
    expect(environment.addFolders(["/b", "/a"])).toBeNull();
    expect(environment.addFolders(["/c", "/a"])).toBeNull();
    expect(environment.variables).toEqual({ A: "2", B: "1" });
    expect(environment.path).toEqual(["/c", "/a", "/b"]);
  });

  it("stays small enough to start programs with; what goes too far changes nothing", () => {
    const environment = new JobEnvironment();
    for (const name of ["A", "B", "C", "D"]) environment.addVariables({ [name]: "x".repeat(60_000) });
    expect(environment.addVariables({ E: "x".repeat(60_000) })).toContain("SHIPFOX_ENV");
    const many = Array.from({ length: 1_001 }, (_, index) => [`V${index}`, ""]);
    expect(environment.addVariables(Object.fromEntries(many))).toContain("1000 variables");
    expect(Object.keys(environment.variables)).toEqual(["A", "B", "C", "D"]);
    expect(environment.addFolders(Array.from({ length: 101 }, (_, index) => `/${index}`))).toContain("100 folders");
    expect(environment.path).toEqual([]);
  });
});
