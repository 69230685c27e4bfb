import { describe } from "vitest";
import { accepts, job, jobs, refuses, steps } from "./cases.fixture.ts";

const plain = (key: string, more = "") => `${key}: { ${more}steps: [{ run: x }] }`;

describe("the graph of jobs", () => {
  refuses([
    ["a job that needs itself", jobs(plain("a", "needs: ‸a, ")), "self-job-dependency jobs.a.needs"],
    [
      "a job that needs itself among others",
      jobs(plain("b"), plain("a", "needs: [b, ‸a], ")),
      "self-job-dependency jobs.a.needs.1",
    ],
    ["a need that is no job", jobs(plain("a", "needs: ‸ghost, ")), "unknown-job-dependency jobs.a.needs"],
    [
      "a misspelt need",
      jobs(plain("build"), plain("test", "needs: [‸biuld], ")),
      "unknown-job-dependency jobs.test.needs.0 → build",
    ],
    [
      "a need by another case",
      jobs(plain("Build"), plain("test", "needs: ‸build, ")),
      "unknown-job-dependency jobs.test.needs → Build",
    ],
    ["a circle of two", jobs(plain("a", "needs: ‸b, "), plain("b", "needs: a, ")), "job-dependency-cycle jobs.a.needs"],
    [
      "a circle behind a chain",
      jobs(plain("a", "needs: b, "), plain("b", "needs: ‸[c], "), plain("c", "needs: d, "), plain("d", "needs: b, ")),
      "job-dependency-cycle jobs.b.needs",
    ],
    [
      "two circles",
      jobs(plain("a", "needs: ‸b, "), plain("b", "needs: a, "), plain("c", "needs: ‸d, "), plain("d", "needs: c, ")),
      "job-dependency-cycle jobs.a.needs",
      "job-dependency-cycle jobs.c.needs",
    ],
    ["keys with one id", jobs(plain("My Job"), plain("‸my-job")), "duplicate-job-id jobs.my-job"],
    ["keys without letters, which have one id", jobs(plain('"***"'), plain('‸"+++"')), "duplicate-job-id jobs.+++"],
    [
      "keys of steps with one id",
      steps("- { key: Unit Tests, run: x }\n- { key: ‸unit-tests, run: x }"),
      "duplicate-step-id jobs.a.steps.1",
    ],
  ]);
  accepts([
    [
      "needs of later jobs",
      jobs(plain("a", "needs: b, "), plain("b")),
      { jobs: [{ key: "a", needs: ["b"] }, { key: "b" }] },
    ],
    ["one key in two jobs' steps", jobs("a: { steps: [{ key: s, run: x }] }", "b: { steps: [{ key: s, run: x }] }")],
    [
      "a diamond",
      jobs(plain("a"), plain("b", "needs: a, "), plain("c", "needs: a, "), plain("d", "needs: [b, c], ")),
      { jobs: [{}, {}, {}, { needs: ["b", "c"] }] },
    ],
  ]);
});

describe("a runner label", () => {
  const label = (text: string, suggestion = ""): [string, string, string] => [
    text === "" ? "nothing" : text,
    job(`runner: ‸${JSON.stringify(text)}`),
    `invalid-runner-label jobs.a.runner${suggestion}`,
  ];
  refuses([
    ...[
      "bad label!",
      "linux, x64",
      "linux x64",
      "-linux",
      ".linux",
      "_linux",
      "lin/ux",
      "a:b",
      "größe",
      "l".repeat(129),
      "$${{ a",
    ].map((text) => label(text)),
    ["the second of a list", job("runner: [linux, ‸'b@d']"), "invalid-runner-label jobs.a.runner.1"],
    [
      "the workflow's, told once",
      "name: a\nrunner: ‸b@d\njobs: { a: { steps: [{ run: x }] }, b: { steps: [{ run: x }] } }\n",
      "invalid-runner-label jobs.a.runner",
    ],
    ["none at all", "name: a\njobs:\n  ‸a: { steps: [{ run: x }] }\n", "missing-runner-label jobs.a.runner"],
    [
      "21 of them",
      job(`runner: ‸[${Array.from({ length: 21 }, (_, n) => `l${n}`).join(", ")}]`),
      "too-many-runner-labels jobs.a.runner",
    ],
    [
      "one that is known later, over steps",
      job("runner: ‸${{ steps.x.outputs.y }}"),
      "context-unavailable-at-fill-site jobs.a.runner.0",
    ],
  ]);
  accepts([
    ["20, of which one stands twice", job(`runner: [${Array.from({ length: 20 }, (_, n) => `l${n}`).join(", ")}, L0]`)],
    ["128 characters", job(`runner: ${"l".repeat(128)}`)],
    ["blanks around and capitals", job('runner: [" Linux ", X64, linux]'), { jobs: [{ runner: ["linux", "x64"] }] }],
    ["dots, dashes and underscores inside", job("runner: a.b-c_d"), { jobs: [{ runner: ["a.b-c_d"] }] }],
    ["the job's in place of the workflow's", job("runner: own"), { jobs: [{ runner: ["own"] }] }],
  ]);
});

describe("a duration", () => {
  const timeout = (text: string) => job(`execution_timeout: ‸${text}`);
  const T = "jobs.a.execution_timeout";
  refuses([
    ...["1.5h", "1h30m", "soon", "-5m", "5 m", "5M", "5min", "PT5M", "1w", "''"].map(
      (text): [string, string, string] => [
        text,
        timeout(text),
        `${text === "''" ? "invalid-value" : "invalid-duration"} ${T}`,
      ],
    ),
    ["a number", timeout("90"), `invalid-type ${T}`],
    ["zero", timeout("0s"), `invalid-duration ${T}`],
    ["under a second", timeout("999ms"), `invalid-duration ${T}`],
    ["over a day", timeout("1441m"), `invalid-duration ${T}`],
    ["very many digits", timeout(`${"9".repeat(400)}d`), `invalid-duration ${T}`],
    ["an expression", timeout("${{ inputs.minutes }}m"), `invalid-value ${T}`],
    ["of a step, over a day", steps("- { run: x, timeout: ‸25h }"), "invalid-duration jobs.a.steps.0.timeout"],
  ]);
  accepts(
    Object.entries({
      "1s": 1_000,
      "1000ms": 1_000,
      "90s": 90_000,
      "15m": 900_000,
      "24h": 86_400_000,
      "1d": 86_400_000,
      "' 5m '": 300_000,
      "007m": 420_000,
    }).map(([text, executionTimeoutMs]): [string, string, object] => [
      text,
      job(`execution_timeout: ${text}`),
      { jobs: [{ executionTimeoutMs }] },
    ]),
  );
});

describe("variables", () => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => `V${n}: x`).join(", ");
  refuses([
    ...["1BAD", "A-B", "A.B", "A B", "''", "Ä"].map((name): [string, string, string] => [
      name,
      job(`env: { ‸${name}: x }`),
      `invalid-value jobs.a.env.${name === "''" ? "" : name}`,
    ]),
    ["nothing", job("env: { ‸A: }"), "invalid-type jobs.a.env.A"],
    ["null", job("env: { A: ‸null }"), "invalid-type jobs.a.env.A"],
    ["a list", job("env: { A: ‸[b] }"), "invalid-type jobs.a.env.A"],
    ["a mapping", job("env: { A: ‸{ b: c } }"), "invalid-type jobs.a.env.A"],
    ["129 of them", job(`env: ‸{ ${many(129)} }`), "invalid-value jobs.a.env"],
    ["33 kilobytes", job(`env: ‸{ A: ${"x".repeat(33_000)} }`), "invalid-value jobs.a.env"],
  ]);
  accepts([
    ["128 of them", job(`env: { ${many(128)} }`)],
    ["32,768 bytes with their names, as JSON", job(`env: { A: ${"x".repeat(32_760)} }`)],
    ["an empty text", job("env: { A: '' }"), { jobs: [{ steps: [{ env: { A: "" } }] }] }],
    [
      "the step's before the job's before the workflow's",
      "name: a\nrunner: x\nenv: { A: 1, B: 1, C: 1 }\njobs: { a: { env: { B: 2, C: 2 }, steps: [{ run: x, env: { C: 3 } }] } }\n",
      { jobs: [{ steps: [{ env: { A: "1", B: "2", C: "3" } }] }] },
    ],
    [
      "those of the workflow beside an agent, which has none",
      "name: a\nrunner: x\nenv: { A: b }\njobs: { a: { steps: [{ prompt: p }] } }\n",
    ],
    ["an escaped opener", job("env: { A: '$${{ b' }"), { jobs: [{ steps: [{ env: { A: "${{ b" } }] }] }],
  ]);
});

describe("what this product adds", () => {
  const J = "jobs.a";
  refuses([
    ["an empty group", job("concurrency: ‸''"), `invalid-value ${J}.concurrency`],
    ["a group that is a number", job("concurrency: ‸1"), `invalid-type ${J}.concurrency → "1"`],
    ["rules without a group", job("‸concurrency: { on_busy: queue }"), `missing-key ${J}.concurrency.group`],
    [
      "a misspelt way of waiting",
      job("concurrency: { group: a, on_busy: ‸queu }"),
      `invalid-value ${J}.concurrency.on_busy → queue`,
    ],
    [
      "another system's way of waiting",
      job("concurrency: { group: a, ‸cancel-in-progress: true }"),
      `unknown-key ${J}.concurrency`,
    ],
    ["a group over a secret", job("concurrency: ‸'${{ secrets.A }}'"), `runner-context-in-field ${J}.concurrency`],
    [
      "a group over steps",
      job("concurrency: ‸'${{ steps.a.status }}'"),
      `context-unavailable-at-fill-site ${J}.concurrency`,
    ],
    ["an image in capitals", job("image: ‸Node"), `invalid-value ${J}.image`],
    ["an image that is a number", job("image: ‸24"), `invalid-type ${J}.image → "24"`],
    ["an image by URL", job("image: ‸https://a/b"), `invalid-value ${J}.image`],
    ["a password beside an image", job("image: { name: node, ‸password: x }"), `unsupported-key ${J}.image.password`],
    [
      "a pull policy that there is not",
      job("image: { name: node, pull: ‸sometimes }"),
      `invalid-value ${J}.image.pull`,
    ],
    ["an image without a name", job("‸image: { pull: always }"), `missing-key ${J}.image.name`],
    ["services in a list", job("services: ‸[redis]"), `invalid-type ${J}.services`],
    [
      "a service with the name of this host",
      job("services: { ‸localhost: redis }"),
      `invalid-value ${J}.services.localhost`,
    ],
    ["a service that is no host name", job("services: { ‸My_DB: redis }"), `invalid-value ${J}.services.My_DB`],
    ["a service without an image", job("services: { ‸db: { env: { A: b } } }"), `missing-key ${J}.services.db.image`],
    [
      "a mapped port",
      job("services: { db: { image: redis, ports: [‸'6379:6379'] } }"),
      `invalid-value ${J}.services.db.ports.0`,
    ],
    [
      "a port beyond the last",
      job("services: { db: { image: redis, ports: [‸70000] } }"),
      `invalid-value ${J}.services.db.ports.0`,
    ],
    [
      "an expression for a service",
      job("services: { db: { image: redis, env: { A: ‸'${{ vars.A }}' } } }"),
      `unsupported-expression ${J}.services.db.env.A`,
    ],
    [
      "a secret for a service",
      job("services: { db: { image: redis, env: { A: ‸'${{ secrets.A }}' } } }"),
      `runner-context-in-field ${J}.services.db.env.A`,
    ],
    [
      "a program with arguments in one text",
      job("services: { db: { image: redis, command: ‸redis-server --save } }"),
      `invalid-value ${J}.services.db.command → ["redis-server","--save"]`,
    ],
    ["a network that there is not", job("network: ‸host"), `invalid-value ${J}.network`],
    ["no network and services", job("network: ‸none\nservices: { db: redis }"), `invalid-value ${J}.network`],
    ["no retry", job("retry: ‸0"), `invalid-value ${J}.retry`],
    ["eleven retries", job("retry: { max: ‸11 }"), `invalid-value ${J}.retry.max`],
    ["a retry after a misspelt cause", job("retry: { max: 1, on: ‸failur }"), `invalid-value ${J}.retry.on → failure`],
    [
      "a backoff without a delay",
      job("retry: { max: 1, ‸backoff: { factor: 2 } }"),
      `missing-key ${J}.retry.backoff.delay`,
    ],
    [
      "a backoff that grows too fast",
      job("retry: { max: 1, backoff: { delay: 1s, factor: ‸11 } }"),
      `invalid-value ${J}.retry.backoff.factor`,
    ],
    ["a priority in words", job("priority: ‸high"), `invalid-type ${J}.priority`],
    ["a priority over 100", job("priority: ‸101"), `invalid-value ${J}.priority`],
    ["a matrix in a list", job("matrix: ‸[a]"), `invalid-type ${J}.matrix`],
    ["a matrix of nothing", job("matrix: ‸{}"), `invalid-value ${J}.matrix`],
    ["an axis of one value", job("matrix: { node: ‸24 }"), `invalid-type ${J}.matrix.node`],
    ["an axis of no values", job("matrix: { node: ‸[] }"), `invalid-value ${J}.matrix.node`],
    ["an axis with a dash", job("matrix: { ‸node-version: [24] }"), `invalid-value ${J}.matrix.node-version`],
    [
      "an expression as a value",
      job("matrix: { node: [‸'${{ vars.A }}'] }"),
      `unsupported-expression ${J}.matrix.node.0`,
    ],
    ["none at once", job("matrix: { node: [24], max_parallel: ‸0 }"), `invalid-value ${J}.matrix.max_parallel`],
    ["outputs of a matrix", job("matrix: { node: [24] }\n‸outputs: { v: x }"), `invalid-value ${J}.outputs`],
    [
      "a misspelt axis",
      job("matrix: { node: [24] }\nsteps: [{ run: ‸'echo ${{ matrix.nod }}' }]"),
      `unknown-matrix-axis ${J}.steps.0.run → matrix.node`,
    ],
    [
      "a matrix that is not there",
      job("steps: [{ run: ‸'echo ${{ matrix.node }}' }]"),
      `context-unavailable-at-fill-site ${J}.steps.0.run`,
    ],
    ["artifacts of nothing", job("artifacts: ‸{}"), `invalid-value ${J}.artifacts`],
    [
      "an artifact without paths",
      job("artifacts: { upload: [‸{ name: a }] }"),
      `missing-key ${J}.artifacts.upload.0.paths`,
    ],
    [
      "an artifact outside of the workspace",
      job("artifacts: { upload: [{ name: a, paths: [‸../b] }] }"),
      `invalid-value ${J}.artifacts.upload.0.paths.0`,
    ],
    [
      "an artifact of the whole disk",
      job("artifacts: { upload: [{ name: a, paths: [‸/etc] }] }"),
      `invalid-value ${J}.artifacts.upload.0.paths.0`,
    ],
    [
      "an artifact of a home",
      job("artifacts: { upload: [{ name: a, paths: [‸'~/b'] }] }"),
      `invalid-value ${J}.artifacts.upload.0.paths.0`,
    ],
    [
      "an artifact with the name of a folder",
      job("artifacts: { upload: [{ name: ‸a/b, paths: [c] }] }"),
      `invalid-value ${J}.artifacts.upload.0.name`,
    ],
    [
      "an artifact twice",
      job("artifacts: { upload: [{ name: a, paths: [b] }, ‸{ name: a, paths: [c] }] }"),
      `invalid-value ${J}.artifacts.upload.1`,
    ],
    [
      "an artifact kept for 401 days",
      job("artifacts: { upload: [{ name: a, paths: [b], retention: ‸401d }] }"),
      `invalid-duration ${J}.artifacts.upload.0.retention`,
    ],
    [
      "an artifact of a job that is no need",
      job("artifacts: { download: [{ job: ‸b, name: c }] }"),
      `invalid-value ${J}.artifacts.download.0.job`,
    ],
    ["a cache without a key", job("‸cache: { paths: [a] }"), `missing-key ${J}.cache.key`],
    ["a cache of everything below", job("cache: { key: k, paths: [‸'**'] }"), `invalid-value ${J}.cache.paths.0`],
    [
      "a hash over a pattern",
      job("cache: { key: k, paths: [a], hash_files: [‸'*.lock'] }"),
      `invalid-value ${J}.cache.hash_files.0`,
    ],
    [
      "eleven caches",
      job(`cache: ‸[${Array.from({ length: 11 }, (_, n) => `{ key: k${n}, paths: [a] }`).join(", ")}]`),
      `invalid-value ${J}.cache`,
    ],
    ["a cache in a step", steps("- { run: x, ‸cache: {} }"), `unsupported-key ${J}.steps.0.cache`],
  ]);
  accepts([
    [
      "an image and how it is pulled",
      job("image: { name: 'node:24', pull: always }"),
      { jobs: [{ image: "node:24", pull: "always" }] },
    ],
    [
      "an image of the matrix",
      job('matrix: { node: [22, 24] }\nimage: "node:${{ matrix.node }}"'),
      {
        jobs: [
          { key: "a (22)", image: "node:22" },
          { key: "a (24)", image: "node:24" },
        ],
      },
    ],
    [
      "a service by its image alone",
      job("services: { db: redis:8 }"),
      { jobs: [{ services: [{ name: "db", image: "redis:8" }] }] },
    ],
    ["one retry as a number", job("retry: 2"), { jobs: [{ retry: { max: 2 } }] }],
    ["the lowest priority", job("priority: -100"), { jobs: [{ priority: -100 }] }],
    [
      "a matrix of included combinations alone",
      job("matrix: { include: [{ os: linux }, { os: mac }] }"),
      { jobs: [{ matrix: { job: "a" } }, { matrix: { job: "a" } }] },
    ],
    [
      "a matrix without some combinations",
      job("matrix: { a: [1, 2], b: [x, y], exclude: [{ a: 1, b: x }] }"),
      { jobs: [{}, {}, {}] },
    ],
    [
      "an artifact that a need leaves",
      jobs(
        "a: { artifacts: { upload: [{ name: n, paths: [p] }] }, steps: [{ run: x }] }",
        "b: { needs: a, artifacts: { download: [{ job: a, name: n }] }, steps: [{ run: x }] }",
      ),
      {
        jobs: [
          { uploads: [{ name: "n", ifMissing: "fail", when: "success" }] },
          { downloads: [{ job: "a", name: "n", path: "." }] },
        ],
      },
    ],
    [
      "a cache with a digest of files",
      job("cache: { key: npm, hash_files: [package-lock.json], paths: [node_modules], restore_keys: [npm] }"),
      { jobs: [{ caches: [{ key: "npm", hashFiles: ["package-lock.json"], restoreKeys: ["npm"] }] }] },
    ],
  ]);
});
