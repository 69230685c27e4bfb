import { describe } from "vitest";
import { accepts, job, refuses, run, steps, top } from "./cases.fixture.ts";

const BARE = "name: a\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n";
const oneStep = (step: object) => ({ jobs: [{ steps: [step] }] });

describe("YAML that other files use too", () => {
  accepts([
    ["JSON, which is YAML", '{"name": "a", "runner": "x", "jobs": {"a": {"steps": [{"run": "b"}]}}}', { name: "a" }],
    ["a byte order mark", `\uFEFF${BARE}`, { name: "a" }],
    ["the line ends of Windows", BARE.replaceAll("\n", "\r\n"), oneStep({ run: "b" })],
    ["a file that starts and ends its document", `---\n${BARE}...\n`, { name: "a" }],
    ["a file that says its version", `%YAML 1.2\n---\n${BARE}`, { name: "a" }],
    ["a file without a last line end", BARE.trimEnd(), { name: "a" }],
    ["comments wherever they may stand", `# first\n${BARE.replace("\n", " # of the name\n")}# last`, { name: "a" }],
    [
      "words that YAML 1.1 takes for truth values",
      top("env: { A: yes, B: no, C: on, D: off, E: y }"),
      {
        jobs: [{ steps: [{ env: { A: "yes", B: "no", C: "on", D: "off", E: "y" } }] }],
      },
    ],
    [
      "a key that YAML 1.1 takes for a truth value",
      job("env: { on: x, no: y }"),
      oneStep({ env: { on: "x", no: "y" } }),
    ],
    ["numbers as a variable", top("env: { A: 12, B: -3, C: 1.5 }"), oneStep({ env: { A: "12", B: "-3", C: "1.5" } })],
    [
      "numbers with a leading zero, which are decimal",
      top("env: { MODE: ‸0644 }"),
      oneStep({ env: { MODE: "644" } }),
      'rewritten-env-value env.MODE → "0644"',
    ],
    [
      "an octal number of YAML 1.2",
      top("env: { MODE: ‸0o17 }"),
      oneStep({ env: { MODE: "15" } }),
      'rewritten-env-value env.MODE → "0o17"',
    ],
    [
      "a number with an exponent",
      top("env: { A: ‸1e3 }"),
      oneStep({ env: { A: "1000" } }),
      'rewritten-env-value env.A → "1e3"',
    ],
    [
      "a version that looks like a number",
      top("env: { NODE: ‸1.20 }"),
      oneStep({ env: { NODE: "1.2" } }),
      'rewritten-env-value env.NODE → "1.20"',
    ],
    ["a version in quotes", top("env: { NODE: '1.20' }"), oneStep({ env: { NODE: "1.20" } })],
    ["a time that looks like base sixty", top("env: { AT: 12:30:45 }"), oneStep({ env: { AT: "12:30:45" } })],
    ["a date in quotes", top("env: { DAY: '2026-08-21' }"), oneStep({ env: { DAY: "2026-08-21" } })],
    ["a date as a whole command in a block", steps("- run: |-\n    2026-08-21"), oneStep({ run: "2026-08-21" })],
    ["an underscore in a number, which is text", top("env: { A: 1_000 }"), oneStep({ env: { A: "1_000" } })],
    ["text over many lines", steps("- run: |\n    a\n    b\n"), oneStep({ run: "a\nb\n", name: "a" })],
    ["text over many lines without its last line end", steps("- run: |-\n    a\n    b\n"), oneStep({ run: "a\nb" })],
    ["folded text", steps("- run: >-\n    a\n    b\n\n    c"), oneStep({ run: "a b\nc" })],
    ["text with an indentation of its own", steps("- run: |2\n      a\n     b\n"), oneStep({ run: "  a\n b\n" })],
    ["escapes in double quotes", steps('- run: "a\\tb\\u00e9\\n"'), oneStep({ run: "a\tbé\n" })],
    ["a quote in single quotes", steps("- run: 'it''s'"), oneStep({ run: "it's" })],
    ["a colon in a plain command", steps("- run: a:b http://c"), oneStep({ run: "a:b http://c" })],
    ["an emoji", steps("- run: echo 🦊"), oneStep({ run: "echo 🦊" })],
    [
      "a list that is not indented",
      "name: a\nrunner: x\njobs:\n  a:\n    steps:\n    - run: b\n",
      oneStep({ run: "b" }),
    ],
    ["an anchor and its alias", job("env: &e { A: b }\nsteps: [{ run: x, env: *e }]"), oneStep({ env: { A: "b" } })],
    ["an alias of a list", top("runner: &r [a, b]\n").replace("runner: x\n", ""), { jobs: [{ runner: ["a", "b"] }] }],
    [
      "a merge that what is written overrides",
      "name: a\nrunner: x\njobs:\n  a: &a { steps: [{ run: b }], priority: 1 }\n  c: { <<: *a, priority: 2 }\n",
      {
        jobs: [
          { key: "a", priority: 1 },
          { key: "c", priority: 2, steps: [{ run: "b" }] },
        ],
      },
    ],
    [
      "a merge of several mappings, the first of which counts",
      "name: a\nrunner: x\njobs:\n  a: { steps: [{ run: b, env: { <<: [{ A: one }, { A: two, B: three }] } }] }\n",
      oneStep({ env: { A: "one", B: "three" } }),
    ],
    ["a key in quotes like `<<`, which merges nothing", job('env: { "A": b }'), oneStep({ env: { A: "b" } })],
    [
      "keys that are properties of every object",
      "name: a\nrunner: x\njobs: { constructor: { steps: [{ run: b }] }, toString: { steps: [{ run: b }] } }\n",
      { jobs: [{ key: "constructor" }, { key: "toString" }] },
    ],
    [
      "a job key that is a number, where it stands",
      "name: a\nrunner: x\njobs: { b: { steps: [{ run: x }] }, 1: { steps: [{ run: x }] } }\n",
      { jobs: [{ key: "b" }, { key: "1" }] },
    ],
    [
      "a job key with blanks and letters of other scripts",
      "name: a\nrunner: x\njobs: { Größe prüfen: { steps: [{ run: x }] } }\n",
      { jobs: [{ key: "Größe prüfen" }] },
    ],
    [
      "64 levels of lists in the inputs of a trigger",
      top(`triggers: { t: { source: gh, event: e, with: { a: ${"[".repeat(60)}${"]".repeat(60)} } } }`),
    ],
    ["a tag that says what is there anyway", job("env: { A: !!str b }"), oneStep({ env: { A: "b" } })],
    ["a tag that makes text of a number", job("env: { A: !!str 1.10 }"), oneStep({ env: { A: "1.10" } })],
  ]);
});

describe("YAML that is no workflow", () => {
  refuses([
    ["an empty file", "‸", "invalid-workflow-yaml 1:1"],
    ["a file of comments", "‸# only\n# comments\n", "invalid-workflow-yaml 1:1"],
    ["one value", "‸hello", "invalid-workflow-yaml 1:1"],
    ["a list", "‸- a\n- b\n", "invalid-workflow-yaml 1:1"],
    ["a tab as indentation", "name: a\njobs:\n‸\ta: b\n", "invalid-workflow-yaml 3:1"],
    ["a second document", "name: a\njobs: {}\n‸---\nname: b\n", "invalid-workflow-yaml 3:1"],
    ["a key twice", "name: a\n‸name: b\njobs: {}\n", "invalid-workflow-yaml 2:1"],
    ["a key twice in different quotes", 'name: a\n‸"name": b\njobs: {}\n', "invalid-workflow-yaml 2:1"],
    ["a key twice, deep inside", job("env:\n  A: b\n  ‸A: c"), "invalid-workflow-yaml 7:7"],
    ["an alias without an anchor", job("env: ‸*e"), "invalid-workflow-yaml 5:10"],
    [
      "an alias before its anchor",
      job("env: ‸*e\nsteps: [{ run: x, env: &e { A: b } }]"),
      "invalid-workflow-yaml 5:10",
    ],
    ["an alias inside its own anchor", job("env: &e { A: ‸*e }"), "invalid-workflow-yaml 5:18"],
    ["a merge of a text", job("env: { ‸<<: b }"), "invalid-workflow-yaml 5:12"],
    ["a tag of another program", job("env: { A: ‸!secret b }"), "invalid-workflow-yaml 5:15"],
    ["a binary", job("env: { A: !!binary ‸aGk= }"), "invalid-workflow-yaml 5:24"],
    ["a key that is a list", "name: a\n‸[a]: b\njobs: {}\n", "invalid-workflow-yaml 2:1"],
    ["65 levels and more", `name: a\njobs: ${"[".repeat(63)}‸[${"]".repeat(64)}\n`, "invalid-workflow-yaml 2:70"],
    ["a NUL in a command", steps('- run: ‸"a\\0b"'), "invalid-value jobs.a.steps.0.run"],
    ["half of a surrogate pair", steps('- run: ‸"a\\ud83d"'), "invalid-value jobs.a.steps.0.run"],
    ["a NUL in a variable", job('env: { A: ‸"b\\0" }'), "invalid-value jobs.a.env.A"],
    [
      "a NUL in an input",
      top('triggers: { t: { source: gh, event: e, with: { a: [‸"\\0"] } } }'),
      "invalid-value triggers.t.with.a.0",
    ],
    [
      "an infinite number in an input",
      top("triggers: { t: { source: gh, event: e, with: { a: ‸.inf } } }"),
      "invalid-value triggers.t.with.a",
    ],
    ["a date without quotes as a variable", job("env: { A: ‸2026-08-21 }"), 'invalid-type jobs.a.env.A → "2026-08-21"'],
    [
      "a time without quotes as a name",
      "name: ‸2026-08-21T10:00:00Z\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n",
      'invalid-type name → "2026-08-21T10:00:00Z"',
    ],
    ["something that is no number as a variable", job("env: { A: ‸.nan }"), "invalid-type jobs.a.env.A"],
    [
      "a number as a name",
      "name: ‸0x10\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n",
      'invalid-type name → "0x10"',
    ],
    [
      "a truth value as a name",
      "name: ‸True\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n",
      'invalid-type name → "True"',
    ],
    ["nothing as a name", "‸name:\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n", "invalid-type name"],
    ["nothing as a command", steps("- ‸run:"), "invalid-type jobs.a.steps.0.run"],
    ["a command that YAML takes for a mapping", steps("- run: ‸{ a: b }"), "invalid-type jobs.a.steps.0.run"],
    ["a job that is nothing", "name: a\nrunner: x\njobs:\n  ‸a:\n", "invalid-type jobs.a"],
    [
      "a fault that an alias repeats, once",
      job("steps: [&s { run: x, ‸nope: 1 }, *s, *s]"),
      "unknown-key jobs.a.steps.0",
    ],
    [
      "a fault in what is merged, at its source",
      "name: a\nrunner: x\njobs:\n  a: &a { steps: [{ run: b }], ‸nope: 1 }\n  c: { <<: *a }\n",
      "unknown-key jobs.a",
    ],
  ]);
});

describe("a command", () => {
  accepts([
    ["of half a million characters", run("x".repeat(500_000)), oneStep({ name: "x".repeat(80) })],
    ["that is only blanks", run("   "), oneStep({ run: "   ", name: "run" })],
  ]);
});
