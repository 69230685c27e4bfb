import { readFileSync } from "node:fs";
import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, type ProjectHandle, runSteps } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const PAGE = readFileSync(new URL("../docs/recipes.md", import.meta.url), "utf8");
const RECIPES = new Map(
  [...PAGE.matchAll(/^```yaml\nname: (.*)\n(?:.*\n)*?```$/gm)].map(([text, name = ""]) => [
    name,
    // The files of a repository made for a test cannot be executed by themselves.
    text.replaceAll(/^```(yaml\n)?/gm, "").replaceAll(/\.\/\w+\.sh/g, "sh $&"),
  ]),
);

/** What the recipes call. The check is content with the third line. */
const SCRIPTS = {
  "build.sh": "mkdir -p dist && echo built > dist/app",
  "install.sh": "echo installing; mkdir packages && echo installed > packages/one",
  "test.sh": 'echo "tests $*"; test ! -d "$1" || ls "$1"',
  "fix.sh": 'echo "fixes: $*"; echo line >> lines.txt',
  "deploy.sh": "echo deployed",
  "check.sh": 'test "$(wc -l < lines.txt)" -ge 3',
  "packages.lock": "one 1.0\n",
};

describe("the recipes", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project(
      Object.fromEntries([...RECIPES.values()].map((text, index) => [`recipe-${index}.yml`, text])),
      Object.fromEntries(Object.entries(SCRIPTS).map(([name, text]) => [name, `#!/bin/sh\n${text}\n`])),
    );
    await instance.runner({ sandbox: "host" });
  });

  // The database needs an image of a registry; services run in services.test.ts. An approval needs somebody.
  const ALONE = [...RECIPES.keys()].filter((name) => !["With a database", "After an approval"].includes(name));

  it.each(ALONE)("%s", async (name) => {
    const run = await instance.waitForRun(await instance.fire(project, name));
    expect(run.status).toBe("succeeded");
  });

  it("do what they say: a cache is found by the next run, a gate goes on until it is content", async () => {
    const cached = await instance.waitForRun(await instance.fire(project, "With a cache"));
    const [install] = runSteps(jobOf(cached, "test"));
    expect(await instance.logText(install?.id ?? "")).not.toContain("installing\n");
    const repaired = await instance.waitForRun(await instance.fire(project, "Until it is green"));
    const steps = runSteps(jobOf(repaired, "repair"));
    expect(await instance.logText(steps[0]?.id ?? "", 3)).toContain("fixes: the check ended with 1\n");
    expect(await instance.logText(steps[2]?.id ?? "", 3)).toContain("green in attempt 3\n");
  });

  it("do what they say: nothing goes on without an answer, and with the one that it waits for", async () => {
    const body = { workspace_id: instance.workspaceId, name: "approvals", slug: "approvals" };
    const { id } = await instance.api.post(webhookConnectionSchema, "/integrations/webhook/connections", body);
    const answer = (run: number, text: string) =>
      call(instance.plane.url, "POST", `/webhook/${id}`, { body: { run, answer: text } });
    const runs = [];
    for (const text of ["no", "yes"]) {
      const runId = await instance.fire(project, "After an approval");
      const listens = await instance.waitForRun(runId, (run) => jobOf(run, "approval").waiting?.reason === "listening");
      await answer(listens.number + 1_000, "yes");
      await answer(listens.number, text);
      runs.push(await instance.waitForRun(runId));
    }
    expect(runs.map((run) => jobOf(run, "deploy").status)).toEqual(["skipped", "succeeded"]);
    expect(runs.map((run) => jobOf(run, "approval").outputs)).toEqual([{ answer: "no" }, { answer: "yes" }]);
  });
});
