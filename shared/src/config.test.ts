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

it("reads flags named after the settings, and describes them", () => {
  expect(parseFlags(SETTINGS, ["start", "--port", "80", "--labels", "a,b"])).toEqual({
    variables: { PORT: "80", LABELS: "a,b" },
    words: ["start"],
    help: false,
    version: false,
    options: {},
  });
  expect(describeSettings(SETTINGS)).toContain("--port");
  expect(describeSettings(SETTINGS)).not.toContain("--token");
});
