import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./scripts/lib/test-summary-reporter.ts";

// Outer bounds for a machine that is busy with other things; what is awaited comes far sooner.
const POLL_TIMEOUT_MS = 45_000;
const UNIT_TIMEOUT_MS = 60_000;
const E2E_TIMEOUT_MS = 300_000;
// Each end-to-end file starts a control plane, a runner and containers of its own, and waits for some of them.
const E2E_FILES_AT_ONCE = 3;
// Many unit tests wait as well: for Docker, a database, a lock. One for each processor, and one more.
const UNIT_FILES_AT_ONCE = 3;
// An outer bound that passed on a busy machine is given one more chance, and named at the end of the run; a wrong result never.
const OUT_OF_TIME = { count: 1, condition: /timed out|within \d+ m?s/i };

export default defineConfig({
  test: {
    passWithNoTests: false,
    reporters: ["default", new SummaryReporter()],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,client,control-plane,runner,provisioner,cli}/src/**/*.test.ts", "scripts/**/*.test.ts"],
          globalSetup: ["control-plane/src/store/postgres-global-setup.ts"],
          maxWorkers: UNIT_FILES_AT_ONCE,
          expect: { poll: { timeout: POLL_TIMEOUT_MS } },
          testTimeout: UNIT_TIMEOUT_MS,
          retry: OUT_OF_TIME,
          hookTimeout: UNIT_TIMEOUT_MS,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          expect: { poll: { timeout: POLL_TIMEOUT_MS } },
          testTimeout: E2E_TIMEOUT_MS,
          retry: OUT_OF_TIME,
          hookTimeout: E2E_TIMEOUT_MS,
          fileParallelism: true,
          maxWorkers: E2E_FILES_AT_ONCE,
          // After the unit tests: the two groups would otherwise have to agree on one number of workers.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
