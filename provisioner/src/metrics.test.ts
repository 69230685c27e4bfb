import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { renderMetrics } from "./metrics.ts";
import { Monitor } from "./monitor.ts";
import type { Status } from "./status.ts";

const PAGE = readFileSync(new URL("../../docs/provisioner.md", import.meta.url), "utf8");

function status(templates: number): Status {
  return {
    version: "0.1.0",
    pid: 1,
    started_at: "2026-01-01T00:00:00.000Z",
    pool: "main",
    provider: "simulated",
    health: { state: "healthy", reason: null },
    held_by: null,
    templates_fault: null,
    last_list_at: null,
    last_poll_at: null,
    machines: { foreign: 0, unknown: 0, doubted: 0, deletions_waiting: 0 },
    templates: Array.from({ length: templates }, (_, index) => ({
      template_key: `t"${index}`,
      starting: 1,
      idle: 2,
      busy: 3,
      leaving: 4,
      circuit: "open",
      fault: "secret words of a provider",
      next_try_at: null,
    })),
  };
}

it("serves exactly the metrics that the documentation names", () => {
  const served = [...renderMetrics(new Monitor(), status(1)).matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name);
  const rows = PAGE.split("\n").filter((line) => line.startsWith("| `shipfox_provisioner_"));
  const documented = rows.flatMap((row) =>
    [...row.matchAll(/`(shipfox_provisioner_\w+)`/g)].map(([, name = ""]) => name),
  );
  expect([...documented].sort()).toEqual([...served].sort());
});

it("keeps the number of its lines bounded, and shows no message", () => {
  const few = renderMetrics(new Monitor(), status(1_000)).split("\n").length;
  const text = renderMetrics(new Monitor(), status(5_000));
  expect(text.split("\n").length).toBe(few);
  expect(text).toContain('shipfox_provisioner_instances{template="t\\"0",state="busy"} 3\n');
  expect(text).not.toContain("secret words");
});
