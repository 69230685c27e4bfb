import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { parseEnvironmentFile } from "./configuration.ts";
import { environmentOfService } from "./installed-service.ts";

const TEXT = `# by hand\n\nFOLDER="/data"\nPORT=1\nPORT = '8080'\nno setting\nHTTPS_PROXY=http://proxy`;

function service() {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-installed-service-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "service.env");
  writeFileSync(file, TEXT);
  return { file, parse: parseEnvironmentFile, names: ["FOLDER"] };
}

it("lays the caller's environment over the settings of the installed service, and says so", () => {
  const note = vi.fn<(line: string) => void>();
  const installed = service();
  const env = environmentOfService(installed, { env: { PORT: "", HTTPS_PROXY: "http://own" }, flags: {}, note });
  expect(env).toEqual({ FOLDER: "/data", PORT: "8080", HTTPS_PROXY: "http://own" });
  expect(note).toHaveBeenCalledExactlyOnceWith(`with the settings of the installed service, ${installed.file}`);
});

it.each([
  ["the environment names another", { env: { FOLDER: "/own" }, flags: {} }],
  ["a flag names another", { env: {}, flags: { FOLDER: "/own" } }],
])("leaves the environment alone when %s", (_when, { env, flags }) => {
  const note = vi.fn<(line: string) => void>();
  expect(environmentOfService(service(), { env, flags, note })).toBe(env);
  expect(note).not.toHaveBeenCalled();
});

it("leaves the environment alone when nothing is installed", () => {
  const [env, note] = [{ PORT: "1" }, vi.fn<(line: string) => void>()];
  expect(environmentOfService({ ...service(), file: "/nowhere/service.env" }, { env, flags: {}, note })).toBe(env);
  expect(note).not.toHaveBeenCalled();
});
