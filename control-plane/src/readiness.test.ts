import { tmpdir } from "node:os";
import { expect, onTestFinished, test, vi } from "vitest";
import { DueLoop } from "./due-loop.ts";
import { readinessChecks } from "./readiness.ts";
import { migrations } from "./store/migrations.ts";
import { describeStores } from "./store/testing.ts";
import { silentLog, testClock } from "./testing/api.ts";

const MINUTE_MS = 60_000;

describeStores("readiness", (open) => {
  test("holds on a store that works, and no longer on one that is closed", async () => {
    const store = await open();
    const clock = testClock();
    const checks = readinessChecks({ store, clock, dataDir: tmpdir(), loops: [] });
    for (const check of Object.values(checks)) await check();
    await store.close();
    clock.advance(MINUTE_MS);
    for (const name of ["database", "writes", "migrations"]) await expect(checks[name]?.()).rejects.toThrow(/clos/);
  });

  test("writes once a second, however often it is asked, and changes nothing", async () => {
    const store = await open();
    const clock = testClock();
    const write = vi.spyOn(store, "write");
    const checks = readinessChecks({ store, clock, dataDir: tmpdir(), loops: [] });
    const schema = () => store.read((tx) => tx.all("select * from schema_info order by version"));
    const before = await schema();
    await Promise.all(Array.from({ length: 50 }, async () => checks["writes"]?.()));
    expect(write).toHaveBeenCalledTimes(1);
    clock.advance(1_000);
    await checks["writes"]?.();
    expect(write).toHaveBeenCalledTimes(2);
    expect(await schema()).toEqual(before);
  });

  test("ends with a database whose last migration is missing", async () => {
    const store = await open();
    const checks = readinessChecks({ store, clock: testClock(), dataDir: tmpdir(), loops: [] });
    const last = migrations.at(-1)?.version ?? 0;
    await store.write((tx) => tx.run("delete from schema_info where version = ?", [last]));
    await expect(checks["migrations"]?.()).rejects.toThrow(`expected ${last}`);
  });
});

test("a disk that cannot be looked at, and a loop that hangs in its round or does not start one, are not ready", async () => {
  const clock = testClock();
  const loop = new DueLoop(clock, silentLog);
  const store = {} as Parameters<typeof readinessChecks>[0]["store"];
  const checks = readinessChecks({ store, clock, dataDir: "/nowhere", loops: [loop] });
  await expect(checks["disk"]?.()).rejects.toThrow("ENOENT");
  await expect(checks["scheduler"]?.()).rejects.toThrow("what is due");

  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<null>();
  loop.start([
    () => {
      begun.resolve();
      return end.promise;
    },
  ]);
  onTestFinished(() => loop.stop());
  await begun.promise;
  await checks["scheduler"]?.();
  clock.advance(MINUTE_MS + 1);
  await expect(checks["scheduler"]?.()).rejects.toThrow("what is due");
  end.resolve(null);
  await vi.waitFor(() => checks["scheduler"]?.());
});
