import { createHash } from "node:crypto";
import { setVariablesReplySchema } from "@shipfox/shared/api/scoped-values";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance, jobOf, type ProjectHandle, runSteps, workflow } from "../src/instance.ts";
import { printedIn } from "../src/log-stream.ts";
import { useStage } from "../src/stage.ts";

/** Every character there is but NUL, in no order that YAML, JSON, a shell or an engine could like. */
const EVERY_CHARACTER = Array.from({ length: 0x7ff }, (_, index) => String.fromCodePoint(index + 1)).join("");
const VALUES: Record<string, string> = {
  QUOTES: `'"\`'\\''"\\"`,
  NEWLINES: "\n\nfirst\r\nsecond\n\n",
  SUBSTITUTION: "$(touch hacked) `touch hacked` ${PATH} $((1+1)) ; touch hacked & | > hacked",
  DASH: "--privileged",
  LATER_DASH: "-e\n-v /:/host",
  ASSIGNMENT: "a=b\nLD_PRELOAD=/tmp/x.so",
  HISTORY: "!! !$ ~ * ? [a] {a,b} # % ^",
  BIDI: "\u202e\u2066text\u2069 \ufeff \u0085\u2028\u2029",
  ASTRAL: "🦊 e\u0301 \u{10FFFF}",
  EMPTY: "",
  BLANKS: "  \t ",
  EVERY_CHARACTER,
};
const MANY_LINES = "x\n".repeat(4_000);

const print = (names: string[]) =>
  `node -e 'for (const n of process.argv.slice(1)) console.log(n, require("crypto").createHash("sha256").update(process.env[n]).digest("hex"))' ${names.join(" ")}; ls`;

const NAMES = [...Object.keys(VALUES), "MANY_LINES"];
const FROM_FILE = workflow(
  "From file",
  `  job:
    checkout: false
    env: ${JSON.stringify(VALUES)}
    steps:
      - run: ${JSON.stringify(print(NAMES))}
        env: { MANY_LINES: ${JSON.stringify(MANY_LINES)} }
`,
);
const FROM_VARIABLES = workflow(
  "From variables",
  `  job:
    checkout: false
    env: { ${NAMES.map((name) => `${name}: "\${{ vars.${name} }}"`).join(", ")} }
    steps:
      - run: ${JSON.stringify(print(NAMES))}
`,
);
const FROM_STEP = workflow(
  "From a step",
  `  job:
    checkout: false
    env: ${JSON.stringify(VALUES)}
    steps:
      - run: |
          for n in QUOTES SUBSTITUTION DASH HISTORY ASTRAL BLANKS LATER_DASH ASSIGNMENT; do printf 'LATER_%s<<END\\n%s\\nEND\\n' "$n" "\${!n}" >> "$SHIPFOX_ENV"; done
      - run: ${JSON.stringify(print(["QUOTES", "SUBSTITUTION", "DASH", "HISTORY", "ASTRAL", "BLANKS", "LATER_DASH", "ASSIGNMENT"].map((name) => `LATER_${name}`)))}
`,
);

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const expected = (names: string[]) =>
  names
    .map((name) => `${name} ${digest({ ...VALUES, MANY_LINES }[name.replace(/^LATER_(?!DASH$)/, "")] ?? "")}\n`)
    .join("");

describe.each([
  { sandbox: "docker" as const, exec: "fast", tag: "[docker]" },
  { sandbox: "docker" as const, exec: "plain", tag: "[docker]" },
  { sandbox: "host" as const, exec: "fast", tag: "[host]" },
])("$tag values of variables in the $sandbox sandbox, exec $exec", ({ sandbox, exec }) => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    const path = `/workspaces/${instance.workspaceId}/variables:batch`;
    const entries = Object.entries({ ...VALUES, MANY_LINES }).map(([key, value]) => ({ key, value }));
    await instance.api.post(setVariablesReplySchema, path, { entries });
    project = await instance.project({ "file.yml": FROM_FILE, "variables.yml": FROM_VARIABLES, "step.yml": FROM_STEP });
    await instance.runner({ sandbox, env: { SHIPFOX_RUNNER_EXEC: exec, SHIPFOX_RUNNER_WARM: "0" } });
  });

  it(`${attack(7, `from the file, the workspace and an earlier step, ${sandbox}, exec ${exec}`)}`, async () => {
    for (const name of ["From file", "From variables", "From a step"]) {
      const run = await instance.waitForRun(await instance.fire(project, name));
      const step = runSteps(jobOf(run, "job")).at(-1);
      const log = printedIn(await instance.logText(step?.id ?? ""));
      const names =
        name === "From a step" ? [...log.matchAll(/^(LATER_\S+) /gm)].map((match) => match[1] ?? "") : NAMES;
      expect(names.length).toBeGreaterThan(7);
      expect([name, log]).toEqual([name, expected(names)]);
    }
  });
});
