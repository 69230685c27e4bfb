import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";
import { newId } from "@shipfox/shared/ids";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { setupToken } from "../modules/accounts/public.ts";
import { KeyRing } from "../modules/secrets/public.ts";
import { migrations } from "../store/migrations.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { silentLog } from "../testing/api.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

let dataDir: string;
beforeEach(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), "shipfox-offline-")), "data");
  return () => rm(join(dataDir, ".."), { recursive: true });
});

/** Runs the control plane's command on the data folder. */
function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...CODE_CACHE, SHIPFOX_DATA_DIR: dataDir, SHIPFOX_LOG_LEVEL: "error" };
    execFile(process.execPath, [MAIN, ...words], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

function open(known = migrations): Promise<Store> {
  return openStore({ dataDir, migrations: known, onRunEvents: () => {}, onLost: () => {}, log: silentLog });
}

async function within<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const store = await open();
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function addUser(store: Store, email: string, status: "active" | "suspended", role: string | null = null) {
  return store.write((tx) =>
    tx.run(
      `insert into users (id, email, name, password_hash, status, admin_role, email_verified_at, created_at, updated_at)
       values (?, ?, null, 'none', ?, ?, null, ?, ?)`,
      [newId(), email, status, role, Date.now(), Date.now()],
    ),
  );
}

test("migrate says what it would apply, applies it without serving, and then has nothing to do", async () => {
  await (await open(migrations.slice(0, -2))).close();
  const names = migrations.slice(-2).map(({ version, name }) => `  ${version} ${name}\n`);
  const before = await run("migrate", "--status");
  expect(before).toMatchObject({ code: 0, stdout: expect.stringContaining(`To be applied:\n${names.join("")}`) });
  expect(await run("migrate")).toMatchObject({ code: 0, stdout: `Applied:\n${names.join("")}` });
  expect(await run("migrate")).toMatchObject({ code: 0, stdout: "Nothing was to be applied.\n" });
  expect((await run("migrate", "--status")).stdout).toContain("nothing is to be applied");
});

test("migrate makes a new database, of which --status has made nothing", async () => {
  expect((await run("migrate", "--status")).stdout).toContain("There is no database yet");
  expect(await run("admin", "list")).toMatchObject({ code: 1, stderr: expect.stringContaining("no database yet") });
  expect(await run("migrate")).toMatchObject({ code: 0, stdout: expect.stringContaining("into a new database") });
  expect((await run("admin", "list")).stdout).toContain("There is no administrator");
});

test("no setup token and no link is made where no server keeps its data, nor a key", async () => {
  for (const words of [["setup"], ["recover", "ada@example.com"]]) {
    const refused = { code: 1, stdout: "", stderr: expect.stringMatching(/no database in .*--data-dir\n$/) };
    expect(await run(...words)).toMatchObject(refused);
  }
  expect(existsSync(dataDir)).toBe(false);
  await (await open()).close();
  const keyless = { code: 1, stdout: "", stderr: expect.stringContaining("no root key in") };
  expect(await run("setup")).toMatchObject(keyless);
  expect(existsSync(join(dataDir, "root.key"))).toBe(false);
});

test("the setup token is that of the server until there is an account, a link is for those who have one", async () => {
  const { current } = KeyRing.load({ dataDir });
  const store = await open();
  onTestFinished(() => store.close());
  expect(await run("setup")).toEqual({ code: 0, stdout: `${setupToken(current)}\n`, stderr: "" });
  await addUser(store, "ada@example.com", "active");
  await store.write((tx) => tx.run("insert into instance (id, first_user_id, created_at) values (1, 'ada', 0)"));
  expect(await run("setup")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("accounts already"),
  });
  expect((await run("recover", "Ada@example.com")).stdout).toMatch(
    /^http:\/\/localhost:16101\/auth\/reset\?token=\S+\n$/,
  );
  const nobody = { code: 1, stdout: "", stderr: expect.stringContaining("there is no account of nobody@example.com") };
  expect(await run("recover", "nobody@example.com")).toMatchObject(nobody);
});

test("an account is made an owner of the server once, and the audit log has it", async () => {
  await within(async (store) => {
    await addUser(store, "ada@example.com", "active");
    await addUser(store, "eve@example.com", "suspended");
  });
  expect(await run("admin", "promote", "Ada@example.com")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("is now"),
  });
  expect((await run("admin", "promote", "ada@example.com")).stdout).toContain("was already");
  expect((await run("admin", "list")).stdout).toBe("ada@example.com  admin-owner  active\n");
  for (const [email, why] of [
    ["eve@example.com", "is suspended"],
    ["nobody@example.com", "there is no account"],
  ] as const) {
    expect(await run("admin", "promote", email)).toMatchObject({ code: 1, stderr: expect.stringContaining(why) });
  }
  const events = await within((store) =>
    store.read((tx) =>
      tx.all<{ action: string; target_name: string; actor_user_id: string | null }>(
        "select action, target_name, actor_user_id from audit_events",
      ),
    ),
  );
  expect(events).toEqual([{ action: "user.admin_role_changed", target_name: "ada@example.com", actor_user_id: null }]);
});

test("nothing is changed while a server has the database, nor in one of an older release", async () => {
  const store = await open(migrations.slice(0, -1));
  onTestFinished(() => store.close());
  await addUser(store, "ada@example.com", "active");
  expect(await run("migrate")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("in use by another control plane"),
  });
  expect(await run("admin", "promote", "ada@example.com")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("migrate first"),
  });
  expect(await run("migrate", "--status")).toMatchObject({ code: 0 });
  expect(await store.read((tx) => tx.all("select admin_role from users"))).toEqual([{ admin_role: null }]);
});

test.each([[[]], [["promote"]], [["promote", "ada"]], [["list", "all"]], [["demote", "ada@example.com"]]])(
  "admin %j is a wrong command line",
  async (words) => {
    expect((await run("admin", ...words)).code).toBe(64);
  },
);
