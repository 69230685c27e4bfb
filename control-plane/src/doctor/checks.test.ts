import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Finding, runChecks } from "@shipfox/shared/operate/check";
import { expect, it, onTestFinished } from "vitest";
import { readConfig } from "../config.ts";
import { migrations } from "../store/migrations.ts";
import { openStore } from "../store/open.ts";
import { silentLog } from "../testing/api.ts";
import { doctorChecks } from "./checks.ts";

/** A folder that is removed after the test. */
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-doctor-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function examine(dataDir: string, env: Record<string, string> = {}): Promise<Record<string, Finding>> {
  const all = { PORT: "1", SHIPFOX_DATA_DIR: dataDir, ...env };
  const results = await runChecks(doctorChecks(readConfig(all), all));
  return Object.fromEntries(results.map(({ name, finding }) => [name, finding]));
}

it("finds nothing wrong before the first start, and makes nothing", async () => {
  const found = await examine(join(await newFolder(), "data"));
  expect(Object.values(found).map(({ state }) => state)).not.toContain("fail");
  expect(found["data folder"]?.message).toContain("is made at the first start");
});

it("names the migrations that the next start applies, of a folder that a server has open", async () => {
  const dataDir = await newFolder();
  const known = migrations.slice(0, -1);
  const options = { dataDir, onRunEvents: () => {}, onLost: () => {}, log: silentLog, migrations: known };
  const store = await openStore(options);
  onTestFinished(() => store.close());
  const last = migrations.at(-1);
  expect((await examine(dataDir))["database"]).toMatchObject({
    state: "warn",
    message: expect.stringContaining(`the next start applies ${last?.version} (${last?.name})`),
  });
});

it("says what to do about an open folder, a lost key, a database that does not answer and an address without TLS", async () => {
  const dataDir = join(await newFolder(), "data");
  mkdirSync(dataDir);
  chmodSync(dataDir, 0o755);
  writeFileSync(join(dataDir, "shipfox.db"), "");
  const found = await examine(dataDir, {
    SHIPFOX_DATABASE_URL: "postgres://nobody:hunter2@127.0.0.1:1/none",
    SHIPFOX_PUBLIC_URL: "http://ci.example.com",
    SHIPFOX_ALOW_SIGNUP: "true",
  });
  expect(found["settings"]).toMatchObject({ state: "warn", message: expect.stringContaining("SHIPFOX_ALLOW_SIGNUP?") });
  expect(found["data folder"]).toMatchObject({ state: "warn", fix: `Run: chmod 700 ${dataDir}` });
  expect(found["root key"]).toMatchObject({ state: "fail", message: "there is a database, but no root.key" });
  expect(found["database"]).toMatchObject({ state: "fail", fix: expect.stringContaining("SHIPFOX_DATABASE_URL") });
  expect(found["public address"]).toMatchObject({ state: "warn" });
  expect(JSON.stringify(found)).not.toContain("hunter2");
});
