import fc from "fast-check";
import { expect, it } from "vitest";
import type { RunEvent } from "./store.ts";
import { addWorkspace, eventOf, testMigrations } from "./test-schema.ts";
import { describeStores } from "./testing.ts";

/** A unit: which workspaces it records events for, in order, and whether it then fails. */
const unitArbitrary = fc.record({
  workspaces: fc.array(fc.constantFrom("w1", "w2", "w3"), { maxLength: 4 }),
  fails: fc.boolean(),
});

describeStores(
  "run events",
  (open) => {
    it("are numbered without gaps, stored, and published once in the order of their numbers", async () => {
      const published: RunEvent[] = [];
      const store = await open({ onRunEvents: (events) => published.push(...events) });
      for (const id of ["w1", "w2", "w3"]) await addWorkspace(store, id);
      await fc.assert(
        fc.asyncProperty(fc.array(unitArbitrary, { minLength: 1, maxLength: 40 }), async (units) => {
          await Promise.allSettled(
            units.map(({ workspaces, fails }) =>
              store.write(async (tx) => {
                await tx.run("update workspaces set updated_at = updated_at where id = ?", ["none"]);
                for (const workspace of workspaces) tx.record(eventOf(workspace));
                if (fails) throw new Error("rolled back");
              }),
            ),
          );
          for (const workspace of ["w1", "w2", "w3"]) {
            const stored = await store.read((tx) =>
              tx.all<{ id: number }>("select id from run_events where workspace_id = ? order by id", [workspace]),
            );
            const ids = published.filter((event) => event.workspaceId === workspace).map((event) => event.id);
            expect(ids).toEqual(stored.map((row) => row.id));
            expect(ids).toEqual(ids.map((_, index) => index + 1));
          }
        }),
        { numRuns: 15 },
      );
    });

    it("keep every field", async () => {
      const published: RunEvent[] = [];
      const store = await open({ onRunEvents: (events) => published.push(...events) });
      await addWorkspace(store, "w1");
      const draft = {
        workspaceId: "w1",
        type: "step.started" as const,
        runId: "r",
        projectId: "p",
        jobId: "j",
        executionId: "e",
        stepId: "s",
        payload: { name: "a\0b", attempt: 1 },
        createdAt: 1_790_000_000_000,
      };
      await store.write(async (tx) => tx.record(draft));
      expect(published).toEqual([{ ...draft, id: 1 }]);
      const [row] = await store.read((tx) => tx.all<Record<string, unknown>>("select * from run_events"));
      expect(row).toEqual({
        workspace_id: "w1",
        id: 1,
        type: "step.started",
        run_id: "r",
        project_id: "p",
        job_id: "j",
        execution_id: "e",
        step_id: "s",
        payload: JSON.stringify(draft.payload),
        created_at: draft.createdAt,
      });
    });

    it("may be many in one unit", async () => {
      let count = 0;
      const store = await open({ onRunEvents: (events) => (count += events.length) });
      await addWorkspace(store, "w1");
      await store.write(async (tx) => {
        for (let index = 0; index < 1_234; index += 1) tx.record(eventOf("w1"));
      });
      expect(count).toBe(1_234);
    });

    it("of an unknown workspace roll their unit back", async () => {
      const store = await open();
      const unit = store.write(async (tx) => {
        await tx.run("insert into items (id, number) values (?, ?)", ["a", 0]);
        tx.record(eventOf("nowhere"));
      });
      await expect(unit).rejects.toThrow("nowhere");
      expect(await store.read((tx) => tx.all("select id from items"))).toEqual([]);
    });
  },
  testMigrations,
);
