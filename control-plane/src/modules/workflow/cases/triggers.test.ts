import { describe } from "vitest";
import { accepts, cron, job, listening, refuses, top, trigger } from "./cases.fixture.ts";

const T = "triggers.t";
const ON = "on: [{ source: gh, event: e }]";

describe("a trigger", () => {
  refuses([
    ["without a source", trigger("‸{ event: push }").replace("t: ‸", "‸t: "), `missing-key ${T}.source`],
    ["without an event", trigger("{ source: gh }").replace("t: ", "‸t: "), `missing-key ${T}.event`],
    ["without an event, by hand too", trigger("{ source: manual }").replace("t: ", "‸t: "), `missing-key ${T}.event`],
    ["with an empty source", trigger("{ source: ‸'', event: e }"), `invalid-value ${T}.source`],
    ["with an expression as its event", trigger("{ source: gh, event: ‸'${{ vars.A }}' }"), `invalid-value ${T}.event`],
    ["with a list of events", trigger("{ source: gh, event: ‸[push, release] }"), `invalid-type ${T}.event`],
    ["with an unknown key", trigger("{ source: gh, event: push, ‸branches: [main] }"), `unknown-key ${T}`],
    ["with a misspelt filter", trigger("{ source: gh, event: push, ‸filters: x }"), `unknown-key ${T} → filter`],
    ["with inputs in a list", trigger("{ source: gh, event: push, with: ‸[a] }"), `invalid-type ${T}.with`],
    [
      "with settings of cron",
      trigger("{ source: gh, event: push, ‸config: { schedule: '0 0 * * *' } }"),
      `unsupported-key ${T}.config`,
    ],
    [
      "by hand with settings of cron",
      trigger("{ source: manual, event: fire, ‸config: {} }"),
      `unsupported-key ${T}.config`,
    ],
    [
      "by hand with a filter",
      trigger("{ source: manual, event: fire, filter: ‸event.a == 1 }"),
      `invalid-trigger-filter ${T}.filter`,
    ],
    [
      "with declared inputs, which only a hand can give",
      trigger("{ source: gh, event: push, ‸inputs: { a: { type: string } } }"),
      `unsupported-key ${T}.inputs`,
    ],
    [
      "twice by hand",
      top("triggers:\n  a: { source: manual, event: e }\n  ‸b: { source: manual, event: f }"),
      "multiple-manual-triggers triggers",
    ],
    [
      "with the id of another",
      top("triggers:\n  On Push: { source: gh, event: e }\n  ‸on-push: { source: gh, event: f }"),
      "duplicate-trigger-id triggers.on-push",
    ],
  ]);
  accepts([
    [
      "with any event by hand",
      trigger("{ source: manual, event: go }"),
      { manualTrigger: { key: "t", event: "go", with: null } },
    ],
    [
      "with inputs that are never evaluated",
      trigger("{ source: gh, event: push, with: { a: '${{ kept }}', b: [1, null, true] } }"),
      { triggers: [{ with: { a: "${{ kept }}", b: [1, null, true] } }] },
    ],
    [
      "with a filter over the payload and the trigger",
      trigger("{ source: gh, event: push, filter: \"event.ref == 'refs/heads/main' && trigger.event == 'push'\" }"),
      { triggers: [{ source: "gh", event: "push" }] },
    ],
    [
      "with a slug that no connection has yet",
      trigger("{ source: not-there-yet, event: push }"),
      { triggers: [{ source: "not-there-yet" }] },
    ],
    [
      "of several kinds, by hand once",
      top(
        'triggers:\n  a: { source: manual, event: e }\n  b: { source: cron, event: tick, config: { schedule: "0 0 * * *" } }\n  c: { source: gh, event: push }',
      ),
      { manualTrigger: { key: "a" }, triggers: [{ key: "b", timezone: "UTC" }, { key: "c" }] },
    ],
    [
      "with two schedules",
      top(
        'triggers:\n  a: { source: cron, event: tick, config: { schedule: "0 0 * * *" } }\n  b: { source: cron, event: tick, config: { schedule: "0 1 * * *" } }',
      ),
      { triggers: [{ key: "a" }, { key: "b" }] },
    ],
  ]);
});

describe("a filter", () => {
  const filter = (text: string) => trigger(`{ source: gh, event: push, filter: ${JSON.stringify(text)} }`);
  const refused = (what: string, text: string, code: string, suggestion = ""): [string, string, string] => [
    what,
    filter(text).replace("filter: ", "filter: ‸"),
    `${code} ${T}.filter${suggestion}`,
  ];
  refuses([
    ["that is empty", trigger("{ source: gh, event: push, filter: ‸'' }"), `invalid-value ${T}.filter`],
    [
      "that is a truth value",
      trigger("{ source: gh, event: push, filter: ‸true }"),
      `invalid-type ${T}.filter → "true"`,
    ],
    refused("in braces", "${{ event.a == 1 }}", "invalid-trigger-filter"),
    refused("that is a value", "event.a", "invalid-trigger-filter"),
    refused("that is a text", "'yes'", "invalid-trigger-filter"),
    refused("that is a number", "1 + 1", "invalid-trigger-filter"),
    refused("with one `=`", "event.a = 1", "invalid-trigger-filter"),
    refused("with `and`", "event.a == 1 and event.b == 2", "invalid-trigger-filter"),
    refused("with a function that there is not", "contains(event.a, 'b')", "invalid-trigger-filter"),
    refused("over variables", "vars.A == 'b'", "context-unavailable-at-predicate-site"),
    refused("over inputs", "inputs.a == 'b'", "context-unavailable-at-predicate-site"),
    refused("over the run", "run.number == 1", "context-unavailable-at-predicate-site"),
    refused("over a secret", "secrets.A == 'b'", "runner-context-in-server-predicate"),
    refused("over another system's name", "github.ref == 'a'", "unknown-interpolation-context"),
    refused("over a misspelt name", "evnt.ref == 'a'", "unknown-interpolation-context", " → event"),
    refused("over a field that a trigger does not have", "trigger.sha == 'a'", "invalid-trigger-filter"),
  ]);
  accepts([
    ["that looks into lists", filter("event.commits.exists(c, c.modified.exists(f, f.startsWith('docs/')))")],
    ["that asks for what may be missing", filter("has(event.pull_request) && !event.pull_request.draft == true")],
    ["with a list of words", filter("event.action in ['opened', 'reopened']")],
    ["with a regular expression", filter("event.ref.matches('^refs/tags/v[0-9]+')")],
    ["that is always true", filter("true")],
    [
      "over many lines",
      trigger("\n    source: gh\n    event: push\n    filter: >-\n      event.a == 1 &&\n      event.b == 2\n")
        .replace("{ t: ", "\n  t:")
        .replace("\n }", "\n"),
    ],
  ]);
});

describe("declared inputs", () => {
  const inputs = (body: string) => trigger(`{ source: manual, event: fire, inputs: ${body} }`);
  const A = `${T}.inputs.a`;
  refuses([
    ["of nothing", inputs("‸{}"), `invalid-value ${T}.inputs`],
    ["with a dash in the name", inputs("{ ‸a-b: { type: string } }"), `invalid-value ${T}.inputs.a-b`],
    ["without a type", inputs("{ ‸a: { default: x } }"), `missing-key ${A}.type`],
    ["of a misspelt type", inputs("{ a: { type: ‸strng } }"), `invalid-value ${A}.type → string`],
    ["with a type alone", inputs("{ a: ‸string }"), `invalid-type ${A}`],
    ["of a choice without options", inputs("{ ‸a: { type: choice } }"), `missing-key ${A}.options`],
    ["of a choice without any option", inputs("{ a: { type: choice, options: ‸[] } }"), `invalid-value ${A}.options`],
    [
      "of a choice with an option twice",
      inputs("{ a: { type: choice, options: [b, c, ‸b] } }"),
      `invalid-value ${A}.options.2`,
    ],
    ["of a choice of numbers", inputs("{ a: { type: choice, options: [‸1] } }"), `invalid-type ${A}.options.0 → "1"`],
    ["of a text with options", inputs("{ a: { type: string, ‸options: [b] } }"), `invalid-value ${A}.options`],
    [
      "with a default that is no option",
      inputs("{ a: { type: choice, options: [b], default: ‸c } }"),
      `invalid-value ${A}.default`,
    ],
    [
      "with a default of another type",
      inputs("{ a: { type: boolean, default: ‸'true' } }"),
      `invalid-type ${A}.default`,
    ],
    [
      "with a condition that is text",
      inputs("{ a: { type: string, required: ‸'yes' } }"),
      `invalid-type ${A}.required`,
    ],
    [
      "51 of them",
      inputs(`{ ${Array.from({ length: 51 }, (_, n) => `a${n}: { type: string }`).join(", ")} }`).replace(
        "inputs",
        "‸inputs",
      ),
      `invalid-value ${T}.inputs`,
    ],
  ]);
  accepts([
    [
      "of every type",
      inputs(
        "{ a: { type: string, default: '' }, b: { type: number, default: 1.5 }, c: { type: boolean, required: true }, d: { type: choice, options: [x, y], default: y } }",
      ),
      {
        manualTrigger: {
          inputs: { a: { default: "" }, b: { default: 1.5 }, c: { required: true }, d: { options: ["x", "y"] } },
        },
      },
    ],
  ]);
});

describe("a schedule", () => {
  const refused = (schedule: string): [string, string, string] => [
    schedule,
    cron(`‸${JSON.stringify(schedule)}`),
    `invalid-cron-schedule ${T}.config.schedule`,
  ];
  refuses([
    ...[
      "* * * *",
      "0 * * * * *",
      "@daily",
      "@every 5m",
      "60 * * * *",
      "* 24 * * *",
      "* * 0 * *",
      "* * 32 * *",
      "* * * 13 *",
      "* * * 0 *",
      "* * * * 8",
      "0 0 31 2 *",
      "0 0 30 FEB *",
      "0 0 31 4,6 *",
      "*/0 * * * *",
      "5-1 * * * *",
      "a * * * *",
      "* * * JANUARY-FOO *",
      "-1 * * * *",
      "1,,2 * * * *",
      "* * * * MON-",
      "every 5 minutes or so",
      "*/15 9-17 * JAN-MAR MON-FRI 2026",
    ].map(refused),
    ["nothing", cron("‸''"), `invalid-value ${T}.config.schedule`],
    ["a number", cron("‸5"), `invalid-type ${T}.config.schedule → "5"`],
    [
      "no settings",
      trigger("{ source: cron, event: tick }").replace("t: ", "‸t: "),
      `missing-cron-schedule ${T}.config.schedule`,
    ],
    [
      "no schedule among the settings",
      trigger("{ source: cron, event: tick, ‸config: { timezone: UTC } }"),
      `missing-cron-schedule ${T}.config.schedule`,
    ],
    [
      "a setting that there is not",
      trigger("{ source: cron, event: tick, config: { schedule: '0 0 * * *', ‸tz: UTC } }"),
      `unknown-key ${T}.config`,
    ],
    [
      "a time zone that there is not",
      trigger("{ source: cron, event: tick, config: { schedule: '0 0 * * *', timezone: ‸Europe/Pariss } }"),
      `invalid-cron-timezone ${T}.config.timezone`,
    ],
    [
      "an event that is no tick",
      trigger("{ source: cron, event: ‸daily, config: { schedule: '0 0 * * *' } }"),
      `invalid-cron-event ${T}.event → tick`,
    ],
    [
      "a filter",
      trigger("{ source: cron, event: tick, filter: ‸'true', config: { schedule: '0 0 * * *' } }"),
      `invalid-trigger-filter ${T}.filter`,
    ],
    [
      "the schedule beside the source",
      trigger("{ source: cron, event: tick, ‸schedule: '0 0 * * *' }"),
      `renamed-key ${T}.schedule → config`,
    ],
    [
      "the time zone beside the source",
      trigger("{ source: cron, event: tick, config: { schedule: '0 0 * * *' }, ‸timezone: UTC }"),
      `renamed-key ${T}.timezone → config`,
    ],
    [
      "declared inputs",
      trigger("{ source: cron, event: tick, ‸inputs: {}, config: { schedule: '0 0 * * *' } }"),
      `unsupported-key ${T}.inputs`,
    ],
  ]);
  accepts(
    [
      "* * * * *",
      "*/15 9-17 * JAN-MAR MON-FRI",
      "0 0 L * *",
      "0 0 * * 1#2",
      "0 0 * * 5L",
      "H * * * *",
      "H/15 H * * *",
      "0 0 * * ?",
      "0 0 29 2 *",
      "0 0 * * 0",
      "0 0 * * 7",
      "0 0 1,15 * *",
      "5/10 * * * *",
      "0 0 3/7 * *",
      "0 0 * * MON/2",
      "1/20,10 * * * *",
      "0 0 1-7 * MON",
      " 0  0 * * * ",
      "0 0 * jan sun",
      "59 23 31 12 *",
    ].map((schedule) => [schedule, cron(JSON.stringify(schedule)), { triggers: [{ schedule, timezone: "UTC" }] }]),
  );
  accepts(
    ["Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC"].map((zone) => [
      `the time zone ${zone}`,
      trigger(`{ source: cron, event: tick, config: { schedule: "0 0 * * *", timezone: ${zone} } }`),
      { triggers: [{ timezone: zone }] },
    ]),
  );
});

describe("a listening job", () => {
  const L = "jobs.a.listening";
  refuses([
    ["that listens to nothing", job("‸listening: { timeout: 1h }"), `missing-key ${L}.on`],
    ["with an empty list", listening("{ on: ‸[], timeout: 1h }"), `invalid-value ${L}.on`],
    ["that would never end", job(`‸listening: { ${ON} }`), `listening-job-missing-resolution-source ${L}`],
    ["with an empty list of ends", listening(`{ ${ON}, until: ‸[] }`), `invalid-value ${L}.until`],
    ["that ends after no execution", listening(`{ ${ON}, max_executions: ‸0 }`), `invalid-value ${L}.max_executions`],
    [
      "that ends after half an execution",
      listening(`{ ${ON}, max_executions: ‸1.5 }`),
      `invalid-value ${L}.max_executions`,
    ],
    ["for 31 days", listening(`{ ${ON}, timeout: ‸31d }`), `listening-timeout-exceeds-run-timeout ${L}.timeout`],
    ["for half a second", listening(`{ ${ON}, timeout: ‸500ms }`), `invalid-duration ${L}.timeout`],
    ["for a word", listening(`{ ${ON}, timeout: ‸forever }`), `invalid-duration ${L}.timeout`],
    ["with a batch of nothing", listening(`{ ${ON}, timeout: 1h, batch: ‸{} }`), `invalid-value ${L}.batch`],
    [
      "with a batch of no event",
      listening(`{ ${ON}, timeout: 1h, batch: { max_size: ‸0 } }`),
      `invalid-value ${L}.batch.max_size`,
    ],
    [
      "with a debounce over a day",
      listening(`{ ${ON}, timeout: 1h, batch: { debounce: ‸2d } }`),
      `invalid-duration ${L}.batch.debounce`,
    ],
    [
      "with a misspelt batch",
      listening(`{ ${ON}, timeout: 1h, batch: { ‸max-size: 1 } }`),
      `unknown-key ${L}.batch → max_size`,
    ],
    [
      "that ends in an unknown way",
      listening(`{ ${ON}, timeout: 1h, on_resolve: ‸finsh }`),
      `invalid-value ${L}.on_resolve → finish`,
    ],
    [
      "with settings of cron",
      listening("{ on: [{ source: cron, event: tick, ‸config: {} }], timeout: 1h }"),
      `unsupported-key ${L}.on.0.config`,
    ],
    [
      "with a filter in braces",
      listening("{ on: [{ source: gh, event: e, filter: ‸'${{ true }}' }], timeout: 1h }"),
      `invalid-listener-filter ${L}.on.0.filter`,
    ],
    [
      "with a filter over `needs`",
      listening("{ on: [{ source: gh, event: e, filter: ‸'needs.size() == 0' }], timeout: 1h }"),
      `context-unavailable-at-predicate-site ${L}.on.0.filter`,
    ],
    [
      "with a filter over its execution",
      listening("{ on: [{ source: gh, event: e, filter: ‸'execution.index == 0' }], timeout: 1h }"),
      `context-unavailable-at-predicate-site ${L}.on.0.filter`,
    ],
    [
      "with an end over a secret",
      listening(`{ ${ON}, until: [{ source: gh, event: e, filter: ‸"secrets.A == 'a'" }] }`),
      `runner-context-in-server-predicate ${L}.until.0.filter`,
    ],
    [
      "whose end is no condition",
      listening(`{ ${ON}, until: [{ source: gh, event: e, filter: ‸event.n }] }`),
      `invalid-listener-filter ${L}.until.0.filter`,
    ],
    [
      "whose second trigger has no event",
      listening("{ on: [{ source: gh, event: e }, ‸{ source: gh }], timeout: 1h }"),
      `missing-key ${L}.on.1.event`,
    ],
  ]);
});
