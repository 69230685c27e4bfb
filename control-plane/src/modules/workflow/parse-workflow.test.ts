import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  DIAGNOSTIC_CODES,
  type Diagnostic,
  type JobPlan,
  parseWorkflow,
  requiredCapabilities,
  type WorkflowPlan,
} from "./public.ts";

const FIXTURES = new URL("./fixtures/", import.meta.url);

function fixture(name: string): string {
  return readFileSync(new URL(name, FIXTURES), "utf8");
}

function workflows(folder: string): string[] {
  return readdirSync(new URL(folder, FIXTURES)).filter((name) => name.endsWith(".yml"));
}

/** The form in which the head of a fixture promises a diagnostic. */
function brief({ line, column, code, path, suggestion }: Diagnostic): string {
  return `# ${line}:${column} ${code} ${path}${suggestion === undefined ? "" : ` → ${suggestion}`}`;
}

/** The diagnostics that the head of a fixture promises. */
function promises(text: string): string[] {
  return text.split("\n").filter((line) => /^# \d+:\d+ /.test(line));
}

function modelOf(yaml: string, defaultRunnerLabels = ["linux"]): WorkflowPlan {
  const result = parseWorkflow(yaml, { defaultRunnerLabels });
  if (!result.ok) throw new Error(result.diagnostics.map(brief).join("\n"));
  return result.model;
}

function onlyJob(body: string): JobPlan {
  const [job] = modelOf(`name: one\njobs:\n  a:\n${body.replaceAll(/^/gm, "    ")}`).jobs;
  if (!job) throw new Error("no job");
  return job;
}

function faultsOf(yaml: string): string[] {
  const result = parseWorkflow(yaml);
  return result.ok ? [] : result.diagnostics.map(brief);
}

describe("a valid workflow", () => {
  it.each(workflows("valid"))("becomes the model beside it: %s", (name) => {
    const expected: unknown = JSON.parse(fixture(`valid/${name.replace(".yml", ".model.json")}`));
    expect(modelOf(fixture(`valid/${name}`))).toStrictEqual(expected);
  });

  it.each(workflows("valid"))("has no warning, and is told exactly what does not run yet: %s", (name) => {
    const text = fixture(`valid/${name}`);
    const result = parseWorkflow(text, { defaultRunnerLabels: ["linux"] });
    if (!result.ok) throw new Error(result.diagnostics.map(brief).join("\n"));
    expect(result.warnings).toEqual([]);
    expect(result.notRunnable.map(brief)).toEqual(promises(text));
  });

  it("keeps the document as its author wrote it", () => {
    const result = parseWorkflow("name: a $${{\nrunner: X\njobs: { a: { steps: [{ run: b, env: { N: 1 } }] } }\n");
    expect(result).toMatchObject({
      document: { name: "a $${{", runner: "X", jobs: { a: { steps: [{ run: "b", env: { N: 1 } }] } } },
      warnings: [],
    });
  });

  it("warns of values that YAML rewrites, and says how to keep them", () => {
    const env = "env: { A: 1.10, B: 0x1F, C: True, D: 12, E: true, F: '1.10', G: 12345678901234567890 }";
    const result = parseWorkflow(`name: a\nrunner: x\n${env}\njobs: { a: { steps: [{ run: b }] } }\n`);
    expect(result.ok && result.warnings.map(brief)).toEqual([
      '# 3:11 rewritten-env-value env.A → "1.10"',
      '# 3:20 rewritten-env-value env.B → "0x1F"',
      '# 3:29 rewritten-env-value env.C → "True"',
      '# 3:65 rewritten-env-value env.G → "12345678901234567890"',
    ]);
  });

  it("takes the server's labels when neither job nor workflow names any", () => {
    const yaml = "name: a\njobs: { a: { steps: [{ run: b }] }, c: { runner: own, steps: [{ run: b }] } }\n";
    expect(modelOf(yaml, [" Linux", "X64", "linux"]).jobs.map((job) => job.runner)).toEqual([
      ["linux", "x64"],
      ["own"],
    ]);
  });

  it("names a step after its first command, cut to 80 characters", () => {
    const long = "😀".repeat(100);
    const { steps } = onlyJob(
      `steps:\n- run: "# only a comment"\n- run: "   "\n- run: "\\n  a b \\n c"\n- run: ${long}`,
    );
    expect(steps.map((step) => step.name)).toEqual(["# only a comment", "run", "a b", "😀".repeat(80)]);
  });

  it("has the runner's network unless it wants none, which not every runner can give", () => {
    expect(onlyJob("steps: [{ run: a }]")).not.toHaveProperty("network");
    const cutOff = onlyJob("network: none\nsteps: [{ run: a }]");
    expect(cutOff.network).toBe("none");
    expect(requiredCapabilities(cutOff)).toEqual(["network"]);
  });

  it("asks for a runner that can start images or services only when the job names some", () => {
    expect(requiredCapabilities(onlyJob("image: node:24\nsteps: [{ run: a }]"))).toEqual(["image"]);
    expect(requiredCapabilities(onlyJob("steps: [{ run: a }]"))).toEqual([]);
    const both = onlyJob("image: node:24\nservices: { db: postgres:18 }\nsteps: [{ run: a }]");
    expect(requiredCapabilities(both)).toEqual(["image", "services"]);
  });

  it.each([
    "node",
    "node:24",
    "team/app_x/y--z:1.2_rc",
    "localhost:5000/a",
    "Registry.example/a:b",
    `a@sha256:${"0".repeat(64)}`,
  ])("may name the image %s", (image) => {
    expect(onlyJob(`image: ${image}\nsteps: [{ run: a }]`).image).toBe(image);
  });
});

describe("an invalid workflow", () => {
  it.each(workflows("invalid"))("gets exactly the diagnostics in its head: %s", (name) => {
    const text = fixture(`invalid/${name}`);
    expect(promises(text)).not.toEqual([]);
    expect(faultsOf(text)).toEqual(promises(text));
  });

  it.each([
    "Node",
    "a b",
    "-x",
    "a:",
    "a//b",
    "a@sha256:12",
    "${{ x }}",
    "a/$${{",
    `a${"b".repeat(512)}`,
    "https://a/b",
  ])("may not name the image %.60s", (image) => {
    const yaml = `name: a\nrunner: x\njobs: { a: { image: ${JSON.stringify(image)}, steps: [{ run: b }] } }`;
    expect(faultsOf(yaml)).toEqual([expect.stringMatching(/ (invalid-value|unsupported-expression) jobs\.a\.image$/)]);
  });

  it("may have 10 services, and no more", () => {
    const services = (count: number) => Array.from({ length: count }, (_, index) => `s${index}: redis:8`).join(", ");
    const yaml = (count: number) =>
      `name: a\nrunner: x\njobs: { a: { services: { ${services(count)} }, steps: [{ run: b }] } }`;
    expect(faultsOf(yaml(10))).toEqual([]);
    expect(faultsOf(yaml(11))).toEqual([expect.stringMatching(/ invalid-value jobs\.a\.services$/)]);
  });

  it.each(["host", "None", "container:x", "", "[none]", "true"])("may not name the network %s", (network) => {
    const yaml = `name: a\nrunner: x\njobs: { a: { network: ${network === "" ? '""' : network}, steps: [{ run: b }] } }`;
    expect(faultsOf(yaml)).toEqual([
      expect.stringMatching(/ (invalid-value|invalid-type) jobs\.a\.network(?: → none)?$/),
    ]);
  });

  it("may not cut itself off from its services", () => {
    const yaml = "name: a\nrunner: x\njobs: { a: { network: none, services: { db: redis:8 }, steps: [{ run: b }] } }";
    expect(faultsOf(yaml)).toEqual([expect.stringMatching(/ invalid-value jobs\.a\.network$/)]);
  });

  it("is told the key that was meant", () => {
    const keys = {
      nedes: "needs",
      "Execution-Timeout": "execution_timeout",
      timeout: "execution_timeout",
      stepz: "steps",
    };
    for (const [wrong, right] of Object.entries(keys)) {
      const result = parseWorkflow(`name: a\nrunner: x\njobs: { a: { ${wrong}: 1, steps: [{ run: b }] } }`);
      expect(result).toMatchObject({ diagnostics: [{ code: "unknown-key", suggestion: right }] });
    }
  });

  it("is told no more than a reader can take, whatever the file holds", () => {
    const unknownKeys = Array.from({ length: 9 }, (_, index) => `${index}${"k".repeat(1_000)}: 1`).join(", ");
    const result = parseWorkflow(`name: a\njobs:\n  ? ${"j".repeat(900_000)}\n  : { ${unknownKeys} }\n`);
    expect(result).toMatchObject({ ok: false, diagnostics: { length: 11 } });
    expect(JSON.stringify(result).length).toBeLessThan(20_000);
  });

  it("is told at most 100 faults", () => {
    const jobs = Array.from({ length: 300 }, (_, index) => `  j${index}: 1\n`).join("");
    expect(faultsOf(`name: a\njobs:\n${jobs}`)).toHaveLength(100);
  });
});

describe("sizes", () => {
  const workflow = (jobs: string): string => `name: a\nrunner: x\njobs:\n${jobs}`;
  const repeat = (count: number, text: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => text(index)).join("");
  const variables = (count: number): string => repeat(count, (index) => `V${index}: a, `);

  it.each([
    ["1000 jobs", workflow(repeat(1000, (index) => `  j${index}: { steps: [{ run: a }] }\n`)), []],
    [
      "1001 jobs",
      workflow(repeat(1001, (index) => `  j${index}: { steps: [{ run: a }] }\n`)),
      ["# 3:1 workflow-too-large jobs"],
    ],
    ["2000 steps", workflow(`  a:\n    steps:\n${repeat(2000, () => "      - run: a\n")}`), []],
    [
      "2001 steps",
      workflow(`  a:\n    steps:\n${repeat(2001, () => "      - run: a\n")}`),
      ["# 4:3 workflow-too-large jobs.a"],
    ],
    ["128 variables", `env: { ${variables(128)} }\n${workflow("  a: { steps: [{ run: a }] }\n")}`, []],
    [
      "129 variables",
      `env: { ${variables(129)} }\n${workflow("  a: { steps: [{ run: a }] }\n")}`,
      ["# 1:6 invalid-value env"],
    ],
    [
      "too long variables",
      `env: { A: ${"a".repeat(32_768)} }\n${workflow("  a: { steps: [{ run: a }] }\n")}`,
      ["# 1:6 invalid-value env"],
    ],
    [
      "a large environment inherited by many steps",
      `env: { A: ${"a".repeat(32_000)} }\n${workflow(`  a:\n    steps:\n${repeat(300, () => "      - run: a\n")}`)}`,
      ["# 5:3 workflow-too-large jobs.a"],
    ],
    [
      "a name of 256 characters",
      `name: ${"a".repeat(256)}\nrunner: x\njobs: { a: { steps: [{ run: a }] } }`,
      ["# 1:7 invalid-value name"],
    ],
  ])("%s", (_, yaml, faults) => {
    expect(faultsOf(yaml)).toEqual(faults);
  });
});

describe("docs/workflows.md", () => {
  const page = readFileSync(new URL("../../../../docs/workflows.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = ""]) => yaml);

  it("shows only workflows that parse without a warning", () => {
    expect(examples.length).toBeGreaterThan(0);
    for (const yaml of examples) {
      expect(parseWorkflow(yaml, { defaultRunnerLabels: ["linux"] })).toMatchObject({ ok: true, warnings: [] });
    }
  });

  it("shows a smallest workflow that a server without settings takes and that can be started", () => {
    const smallest = examples.reduce((least, yaml) => (yaml.length < least.length ? yaml : least));
    const taken = { ok: true, warnings: [], model: { manualTrigger: { key: "by_hand" } } };
    expect(parseWorkflow(smallest, { defaultRunnerLabels: [] })).toMatchObject(taken);
  });

  it("explains every diagnostic code, and no other", () => {
    const explained = [...page.slice(page.indexOf("## Diagnostics")).matchAll(/^\| `([a-z]+-[a-z-]+)` \|/gm)].map(
      ([, code]) => code,
    );
    expect(new Set(explained)).toEqual(new Set(Object.keys(DIAGNOSTIC_CODES)));
    expect(new Set(explained).size).toBe(explained.length);
  });
});

describe.each([
  ["migrating.md", 2],
  ["recipes.md", 8],
])("docs/%s", (name, count) => {
  const page = readFileSync(new URL(`../../../../docs/${name}`, import.meta.url), "utf8");
  const examples = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = ""]) => yaml);

  it("shows workflows that a server without settings takes and runs", () => {
    expect(examples).toHaveLength(count);
    for (const yaml of examples) expect(parseWorkflow(yaml)).toMatchObject({ ok: true, warnings: [], notRunnable: [] });
  });
});

describe("the checkout of a job", () => {
  const job = (checkout: string) => `name: a\nrunner: x\njobs: { a: { checkout: ${checkout}, steps: [{ run: b }] } }\n`;

  it("fetches the newest commit without a credential left behind, unless the file says otherwise", () => {
    const plain = { contents: "read", persistCredentials: false, fetchDepth: 1, submodules: "none", lfs: false };
    expect(onlyJob("steps: [{ run: a }]").checkout).toEqual(plain);
    expect(onlyJob("checkout: {}\nsteps: [{ run: a }]").checkout).toEqual(plain);
    expect(onlyJob("checkout: false\nsteps: [{ run: a }]").checkout).toBeNull();
    const all =
      "{ permissions: { contents: write }, persist-credentials: true, fetch-depth: 0, submodules: true, lfs: true }";
    expect(onlyJob(`checkout: ${all}\nsteps: [{ run: a }]`).checkout).toEqual({
      contents: "write",
      persistCredentials: true,
      fetchDepth: 0,
      submodules: "direct",
      lfs: true,
    });
    expect(onlyJob("checkout: { submodules: recursive }\nsteps: [{ run: a }]").checkout?.submodules).toBe("recursive");
  });

  it.each([
    ["true", "# 3:24 invalid-value jobs.a.checkout"],
    ["yes", "# 3:24 invalid-type jobs.a.checkout"],
    ["{ ref: main }", "# 3:26 unsupported-key jobs.a.checkout.ref"],
    ["{ fetch_depth: 1 }", "# 3:26 unknown-key jobs.a.checkout → fetch-depth"],
    ["{ fetch-depth: -1 }", "# 3:39 invalid-value jobs.a.checkout.fetch-depth"],
    ["{ fetch-depth: 1.5 }", "# 3:39 invalid-value jobs.a.checkout.fetch-depth"],
    ["{ fetch-depth: all }", "# 3:39 invalid-type jobs.a.checkout.fetch-depth"],
    ["{ submodules: all }", "# 3:38 invalid-value jobs.a.checkout.submodules"],
    ["{ lfs: 1 }", "# 3:31 invalid-type jobs.a.checkout.lfs"],
    ["{ permissions: { contents: admin } }", "# 3:51 invalid-value jobs.a.checkout.permissions.contents"],
  ])("%s is refused where it stands", (checkout, fault) => {
    expect(faultsOf(job(checkout))).toEqual([fault]);
  });
});
