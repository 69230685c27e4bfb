import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./scripts/lib/test-summary-reporter.ts";

const UNIT_TIMEOUT_MS = 20_000;
const E2E_TIMEOUT_MS = 180_000;
// Each end-to-end file starts a control plane, a runner and containers of its own.
const E2E_FILES_AT_ONCE = 2;

export default defineConfig({
  test: {
    passWithNoTests: false,
    reporters: ["default", new SummaryReporter()],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,control-plane,runner,cli}/src/**/*.test.ts", "scripts/**/*.test.ts"],
          globalSetup: ["control-plane/src/store/postgres-global-setup.ts"],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          testTimeout: E2E_TIMEOUT_MS,
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
