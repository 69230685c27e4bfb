import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runSteps, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const TITLE =
  "$(touch hacked) `touch hacked` '; touch hacked #\" \\$(touch hacked)\n${IFS}&& touch hacked || x=$((1+1))";

/** The title in every place of a command where a value can stand, and as an argument of a program. */
const ECHOING = `name: Echoing
runner: linux
triggers:
  told: { source: alerts, event: received }
jobs:
  job:
    checkout: false
    steps:
      - name: "say \${{ event.body.title }}"
        run: |
          printf '%s\\n' \${{ event.body.title }}
          printf '%s\\n' "\${{ event.body.title }}"
          printf '%s\\n' 'in quotes: \${{ event.body.title }}'
          x=\${{ event.body.title }}; printf '%s\\n' "$x"
          printf '%s\\n' "$TITLE"
          ls
        env: { TITLE: "\${{ event.body.title }}" }
`;

/** Where no quoting keeps a value from becoming code: no run is created. */
const EVALUATING = [
  "echo $(echo ${{ inputs.who }})",
  "echo `echo ${{ inputs.who }}`",
  "cat <<END\n${{ inputs.who }}\nEND",
].map((run, index) =>
  workflow(`Evaluating ${index}`, `  job:\n    steps:\n      - run: ${JSON.stringify(run)}\n`).replace(
    "event: fire\n",
    "event: fire\n    inputs: { who: { type: string } }\n",
  ),
);

/** Names that change what a program does before it does its own work. */
const LOADERS = [
  "LD_PRELOAD",
  "LD_AUDIT",
  "NODE_OPTIONS",
  "BASH_ENV",
  "SHELLOPTS",
  "GLIBC_TUNABLES",
  "PATH",
  "SHIPFOX_RUN_ID",
];
const HANDING_OVER = workflow(
  "Handing over",
  LOADERS.map(
    (name, index) => `  job${index}:
    checkout: false
    steps:
      - run: echo "${name}=/nowhere" >> "$SHIPFOX_ENV"
      - run: echo never
`,
  ).join(""),
);

/** All that git reads from its environment and would run or be led elsewhere by, on the job and on the workflow. */
const MISLEADING = workflow(
  "Misleading",
  `  job:
    env:
      GIT_CONFIG_COUNT: "2"
      GIT_CONFIG_KEY_0: core.fsmonitor
      GIT_CONFIG_VALUE_0: touch /tmp/shipfox-hacked-by-git
      GIT_CONFIG_KEY_1: core.hooksPath
      GIT_CONFIG_VALUE_1: /tmp
      GIT_EXEC_PATH: /nowhere
      GIT_DIR: /nowhere
      GIT_SSH_COMMAND: touch /tmp/shipfox-hacked-by-git
      GIT_ASKPASS: /bin/false
      GIT_TRACE: /tmp/shipfox-hacked-by-git
      LD_PRELOAD: /nowhere.so
      NODE_OPTIONS: --require /nowhere.js
    steps:
      - run: ls .shipfox/workflows/misleading.yml; test ! -e /tmp/shipfox-hacked-by-git && echo untouched
        env: { LD_PRELOAD: "", NODE_OPTIONS: "" }
`,
);

describe("values of strangers", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "echoing.yml": ECHOING,
      "handing-over.yml": HANDING_OVER,
      "misleading.yml": MISLEADING,
      ...Object.fromEntries(EVALUATING.map((text, index) => [`evaluating-${index}.yml`, text])),
    });
    await instance.runner({ sandbox: "host" });
  });

  it(`${attack(17, "the title of an event, in every place of a command")}`, async () => {
    const { id } = await instance.api.post(webhookConnectionSchema, "/integrations/webhook/connections", {
      workspace_id: instance.workspaceId,
      name: "Alerts",
      slug: "alerts",
    });
    const sent = await call(plane.url, "POST", `/webhook/${id}`, {
      body: JSON.stringify({ title: TITLE }),
      headers: { "content-type": "application/json" },
    });
    expect(sent.status).toBe(202);
    const runId = await eventually("the event has started a run", async () => {
      const { runs } = await instance.api.client.runs.list({ project_id: project.id });
      return runs.find(({ workflow_name: name }) => name === "Echoing")?.id;
    });
    const run = await instance.waitForRun(runId);
    const [step] = runSteps(jobOf(run, "job"));
    expect(step?.status).toBe("succeeded");
    const shown = [TITLE, TITLE, `in quotes: ${TITLE}`, TITLE, TITLE].map((line) => `${line}\n`).join("");
    expect(await instance.logText(step?.id ?? "")).toContain(shown);
    expect(await instance.logText(step?.id ?? "")).not.toMatch(/^hacked$/m);
  });

  it.each(EVALUATING.map((_, index) => index))(
    `${attack(17, "where a shell would read it as code: %i")}`,
    async (index) => {
      await expect(instance.fire(project, `Evaluating ${index}`, { who: "x" })).rejects.toThrow(
        /workflow-interpolation-unresolvable|would become code/,
      );
    },
  );

  it(`${attack(16, "from an earlier step")}`, async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Handing over"));
    for (const [index, name] of LOADERS.entries()) {
      const [first, second] = runSteps(jobOf(run, `job${index}`));
      const message = expect.stringContaining(name === "SHIPFOX_RUN_ID" ? "SHIPFOX" : name);
      expect(first).toMatchObject({ status: "failed", error: { reason: "output_invalid", message } });
      expect(second?.status).toBe("skipped");
    }
  });

  it(`${attack(16, "of the workflow, when the repository is fetched")}`, async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Misleading"));
    const { steps } = newestExecution(jobOf(run, "job"));
    expect(steps.find(({ type }) => type === "setup")?.status).toBe("succeeded");
    const [listing] = runSteps(jobOf(run, "job"));
    expect(await instance.logText(listing?.id ?? "")).toContain(".shipfox/workflows/misleading.yml\nuntouched\n");
  });
});
