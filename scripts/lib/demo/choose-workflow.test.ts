import { expect, it } from "vitest";
import { chooseWorkflow, type Workflow } from "./choose-workflow.ts";

const workflow = (name: string, file: string, byHand = true): Workflow => ({
  id: `id-${file}`,
  name,
  config_path: `.shipfox/workflows/${file}`,
  manual_trigger: byHand ? { name: "by_hand" } : null,
});
const ci = workflow("Build and test", "ci.yml");
const release = workflow("Release", "release.yaml");
const nightly = workflow("Nightly", "nightly.yml", false);

it("takes the only one that can be started by hand", () => {
  expect(chooseWorkflow([nightly, ci], null)).toBe(ci);
});

it.each(["Build and test", "ci", "ci.yml", ".shipfox/workflows/ci.yml"])("finds it by %s", (wanted) => {
  expect(chooseWorkflow([ci, release, nightly], wanted)).toBe(ci);
});

it("names the choices when it is not clear", () => {
  expect(() => chooseWorkflow([ci, release], null)).toThrow('"Build and test", "Release"');
  expect(() => chooseWorkflow([ci, release], "nightly")).toThrow('no workflow "nightly"');
  expect(() => chooseWorkflow([nightly], null)).toThrow("manual trigger");
});
