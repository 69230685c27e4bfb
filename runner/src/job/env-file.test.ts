import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker } from "../logs/masking.ts";
import { parseEnvFile, refuseVariable } from "./env-file.ts";

const masker = new Masker();

describe("SHIPFOX_ENV", () => {
  it("holds variables as lines and as blocks", () => {
    const content = "LEVEL=debug\nNOTES<<END\nfirst\nsecond=2\nEND\r\nURL=https://a/?b=c\n";
    expect(parseEnvFile(content, masker)).toEqual({
      kind: "variables",
      variables: { LEVEL: "debug", NOTES: "first\nsecond=2", URL: "https://a/?b=c" },
    });
  });

  it.each([
    "SHIPFOX",
    "SHIPFOX_ENV",
    "SHIPFOX_OUTPUT",
    "SHIPFOX_WORKSPACE",
    "SHIPFOX_RUNNER_REGISTRATION_TOKEN",
    "PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "LD_DEBUG_OUTPUT",
    "DYLD_INSERT_LIBRARIES",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "NODE_OPTIONS",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "BASH_FUNC_ls%%",
    "with.dot",
    "1ST",
    "",
    "A B",
    "N".repeat(256),
  ])("may not set %s", (name) => {
    expect(refuseVariable(name, masker)).not.toBeNull();
    expect(parseEnvFile(`OK=1\n${name}=x\n`, masker)).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("SHIPFOX_ENV, line 2"),
    });
  });

  it.each([
    "ENV",
    "env",
    "path",
    "HOME",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "JAVA_HOME",
    "GIT_AUTHOR_NAME",
    "MY_SHIPFOX_X",
    "CI",
    "_x",
  ])("may set %s", (name) => {
    expect(parseEnvFile(`${name}=x`, masker)).toEqual({ kind: "variables", variables: { [name]: "x" } });
  });

  it("refuses a value that no program could be started with", () => {
    expect(parseEnvFile(`A=${"x".repeat(70_000)}`, masker)).toMatchObject({ kind: "invalid" });
  });

  it("never lets a reserved name through, whatever the file holds", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("LD_PRELOAD=x", "SHIPFOX_RUN_ID=x", " PATH=x", "NODE_OPTIONS<<E", "E", "A=1", "B<<E"),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const parsed = parseEnvFile(lines.join("\n"), masker);
        if (parsed.kind === "invalid") return;
        for (const name of Object.keys(parsed.variables)) expect(refuseVariable(name, masker)).toBeNull();
      }),
    );
  });
});
