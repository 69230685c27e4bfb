import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { ConfigError, loadConfig, setting, text } from "./config.ts";
import { describeSettings, parseFlags } from "./flags.ts";

const SETTINGS = {
  port: setting("PORT", text.integer(0, 65_535, 16_101), "port to listen on"),
  labelList: setting("LABELS", text.list("linux"), "labels"),
  token: setting("TOKEN", z.string().optional(), "the token", { secret: true }),
};

it("takes defaults, and an empty variable for an absent one", () => {
  expect(loadConfig(SETTINGS, { PORT: "" })).toEqual({ port: 16_101, labelList: ["linux"], token: undefined });
});

it("names every wrong variable at once", () => {
  const load = () =>
    loadConfig(
      { ...SETTINGS, other: setting("OTHER", text.integer(1, 2, 1), "one or two") },
      { PORT: "http", OTHER: "3" },
    );
  expect(load).toThrow(ConfigError);
  expect(load).toThrow(/PORT:.*port to listen on[\s\S]*OTHER:.*one or two/);
});

it("reads a secret from the file that its variable names, and from no flag", () => {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "token"), "s3cret\n");
  expect(loadConfig(SETTINGS, { TOKEN_FILE: join(folder, "token") }).token).toBe("s3cret");
  expect(() => loadConfig(SETTINGS, { TOKEN_FILE: join(folder, "gone") })).toThrow(/TOKEN_FILE/);
  expect(() => parseFlags(SETTINGS, ["--token", "x"])).toThrow(ConfigError);
});

it("says in a sentence what is wrong with a flag, and which one is near", () => {
  const fault = (...argv: string[]) => {
    try {
      parseFlags(SETTINGS, argv, { json: { type: "boolean" } });
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(fault("--prot", "80")).toBe("there is no flag --prot; did you mean --port? --help lists the flags");
  expect(fault("--unheard-of")).toBe("there is no flag --unheard-of; --help lists the flags");
  expect(fault("-x")).toContain("there is no flag -x;");
  expect(fault("--constructor")).toContain("there is no flag --constructor;");
  expect(fault("--port")).toContain("--port needs a value");
  expect(fault("--port", "--json")).toContain("--port needs a value");
  expect(fault("--json=yes")).toContain("--json takes no value");
  expect(fault("--token", "s3cret")).toBe(
    "there is no flag --token, because everybody on the machine could read the secret; set TOKEN, or TOKEN_FILE to a file that holds it",
  );
  expect(fault("--port=-1", "--json")).toBeNull();
});

it("says what stands in a variable, but never what stands in a secret", () => {
  const settings = {
    open: setting("OPEN", text.boolean(false), "open it"),
    secret: setting("SECRET", z.string().startsWith("sf_", "expected sf_…").optional(), "keep it", { secret: true }),
  };
  const fault = () => loadConfig(settings, { OPEN: "yes", SECRET: "hunter2" });
  expect(fault).toThrow('OPEN: expected true or false, but it is "yes" (open it)');
  expect(fault).toThrow("SECRET: expected sf_… (keep it)");
  expect(fault).not.toThrow("hunter2");
});

it("says what is wrong with the file of a secret", () => {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "empty"), "\n");
  const load = (file: string) => () => loadConfig(SETTINGS, { TOKEN_FILE: file });
  expect(load(join(folder, "gone"))).toThrow(`TOKEN_FILE: there is no file ${folder}/gone`);
  expect(load(folder)).toThrow(`TOKEN_FILE: ${folder} is a folder, not a file`);
  expect(load(join(folder, "empty"))).toThrow(`TOKEN_FILE: the file ${folder}/empty is empty`);
});

it("reads flags named after the settings, and describes them", () => {
  expect(parseFlags(SETTINGS, ["start", "--port", "80", "--labels", "a,b"])).toEqual({
    variables: { PORT: "80", LABELS: "a,b" },
    words: ["start"],
    help: false,
    version: false,
    options: {},
  });
  expect(parseFlags(SETTINGS, ["--labels", "a", "--labels", "b"]).variables).toEqual({ LABELS: "b" });
  const repeatable = { also: setting("ALSO", text.list(""), "more", { repeatable: true }) };
  expect(parseFlags(repeatable, ["--also", "a", "--also=b,c"]).variables).toEqual({ ALSO: "a,b,c" });
  expect(describeSettings(SETTINGS)).toContain("--port");
  expect(describeSettings(SETTINGS)).not.toContain("--token");
});
