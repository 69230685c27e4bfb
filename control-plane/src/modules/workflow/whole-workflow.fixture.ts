import fc, { type Arbitrary } from "fast-check";

/** A workflow as its author writes it, in the order of its keys; jobs are pairs, since their keys may look like numbers. */
export interface AuthoredWorkflow {
  readonly top: Record<string, unknown>;
  readonly jobs: readonly (readonly [key: string, job: AuthoredJob])[];
}
export type AuthoredJob = Record<string, unknown> & {
  readonly steps: Record<string, unknown>[];
  readonly needs?: string[];
};

const MAX_JOBS = 6;
const MAX_STEPS = 4;
const IDENTIFIER = /^[a-z]\w*$/;

const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((value) => !/\0|\$\{\{/.test(value) && value.isWellFormed());
/** Of a command: it takes no value for code and opens no quotes. */
const words = fc
  .array(fc.stringMatching(/^[a-z0-9./=-]{1,8}$/), { minLength: 1, maxLength: 3 })
  .map((all) => all.join(" "));
/** YAML knows -0, JSON does not; the key `<<` is no key in YAML. */
const json = fc
  .jsonValue()
  .filter((value) => !JSON.stringify(value).includes('"<<"'))
  .map((value): unknown => JSON.parse(JSON.stringify(value)));
const label = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,9}$/).filter((value) => !/^\d+-\d+-\d+$/.test(value));
const labels = fc.oneof(label, fc.array(label, { minLength: 1, maxLength: 5 }));
const duration = fc
  .tuple(fc.integer({ min: 1, max: 59 }), fc.constantFrom("s", "m"))
  .map(([count, unit]) => `${count}${unit}`);
const folder = fc
  .array(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
/** Words of the expression language, which no key behind a dot can be. */
const RESERVED = /^(?:as|break|const|else|false|for|if|import|in|let|loop|null|return|true|var|void|while)$/;
const identifier = fc.stringMatching(/^[a-z]{1,6}$/).filter((name) => !RESERVED.test(name));
const identifiers = (max: number) => fc.uniqueArray(identifier, { minLength: 1, maxLength: max });
const sometimes = <T extends Record<string, Arbitrary<unknown>>>(keys: T, required: (keyof T)[] = []) =>
  fc.record(keys, { requiredKeys: required as never[] }) as Arbitrary<Record<string, unknown>>;

// Expressions: each from what is known where it stands, and of types that fit.

const AT_FILTER = ["event.a", "event.b.c", "trigger.source"];
const AT_CREATION = ["event.a", "inputs.b", "run.number", "run.name", "workflow.name", "vars.A", "trigger.ref"];
const AT_EXECUTION = [...AT_CREATION, "job.key", "execution.index"];
const AT_GATE = ["step.exit_code", "step.status", "vars.B"];

/** A condition over the values that these sources have. */
function condition(sources: readonly string[]): Arbitrary<string> {
  const compare = fc
    .tuple(fc.constantFrom(...sources), fc.constantFrom("a", "b-c", "}}", "it's"))
    .map(([source, value]) => `string(${source}) == ${JSON.stringify(value)}`);
  const one = fc.oneof(
    compare,
    fc.constantFrom("true", "has(event.a)").filter((source) => source === "true" || sources.includes("event.a")),
  );
  return fc.oneof(
    one,
    one.map((inner) => `!(${inner})`),
    fc.tuple(one, fc.constantFrom("&&", "||"), one).map((parts) => parts.join(" ")),
  );
}

/** A value over these sources; may be of any type. */
function value(sources: readonly string[]): Arbitrary<string> {
  const plain = fc.constantFrom(...sources);
  return fc.oneof(
    { weight: 3, arbitrary: plain },
    { weight: 1, arbitrary: plain.map((source) => `string(${source}) + "x"`) },
    { weight: 1, arbitrary: condition(sources).map((asked) => `(${asked}) ? "yes" : "no"`) },
    { weight: 1, arbitrary: plain.map((source) => `size(string(${source})) + 1`) },
  );
}

const inBraces = (source: Arbitrary<string>) => source.map((inner) => `\${{ ${inner} }}`);

/** Text with expressions in it, and escaped openers. */
function template(sources: readonly string[]): Arbitrary<string> {
  const piece = fc.oneof(words, fc.constant("$${{ kept"), inBraces(value(sources)));
  return fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(" "));
}

function command(sources: readonly string[]): Arbitrary<string> {
  const braces = inBraces(value(sources));
  const secret = fc.constantFrom("${{ secrets.TOKEN }}", "${{ secrets.local.TOKEN }}");
  const word = fc.oneof(
    words,
    braces,
    secret,
    braces.map((inner) => `"a ${inner}"`),
    braces.map((inner) => `'a ${inner}'`),
  );
  return fc.array(word, { minLength: 1, maxLength: 4 }).map((all) => `echo ${all.join(" ")}`);
}

const env = (sources: readonly string[]) =>
  fc.dictionary(
    fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}$/),
    fc.oneof(text, fc.integer(), fc.boolean(), template(sources)),
    { maxKeys: 4 },
  );

// Steps

const output = fc.oneof(
  fc.constantFrom("string", "number", "boolean", "json"),
  fc.constantFrom(
    { type: "string" },
    { type: "json", schema: { type: "object", properties: { a: { type: "integer" } } } },
    { type: "json", schema: true },
  ),
);
const outputs = fc.dictionary(identifier, output, { minKeys: 1, maxKeys: 3 });
const integration = sometimes(
  {
    connection: fc.constant("github_acme"),
    include: fc.constant(["issue_read.get"]),
    exclude: fc.constant(["list_issues"]),
    allow_write: fc.boolean(),
  },
  ["include"],
);

interface StepsSoFar {
  readonly steps: readonly Record<string, unknown>[];
  readonly sources: readonly string[];
}

function step(before: StepsSoFar, key: string): Arbitrary<Record<string, unknown>> {
  const { sources } = before;
  const earlier = before.steps.flatMap((one) => (one["key"] === undefined ? [] : [one["key"] as string]));
  const onFailure = sometimes({ restart_from: fc.constantFrom(...earlier, ""), feedback: template(AT_GATE) }, [
    "restart_from",
  ]);
  const gate = sometimes(
    {
      success: condition(AT_GATE),
      ...(earlier.length > 0 ? { on_failure: onFailure.filter((one) => one["restart_from"] !== "") } : {}),
    },
    ["success"],
  );
  const atCondition = sources.filter((source) => !/^(?:event|inputs|run|workflow|trigger|job|needs)\b/.test(source));
  const common = {
    key: fc.constant(key),
    name: template(sources),
    if: inBraces(condition(atCondition)),
    gate,
    outputs,
    working_directory: folder,
  };
  return fc.oneof(
    {
      weight: 4,
      arbitrary: sometimes({ ...common, run: command(sources), env: env(sources), timeout: duration }, ["run"]),
    },
    {
      weight: 1,
      arbitrary: sometimes(
        {
          ...common,
          checkout: sometimes({
            ref: template(sources),
            path: folder,
            "fetch-depth": fc.nat(),
            force: fc.boolean(),
            "persist-credentials": fc.boolean(),
            repository: fc.constant("acme/lib"),
            permissions: fc.record({ contents: fc.constantFrom("read", "write") }),
          }),
        },
        ["checkout"],
      ),
    },
    {
      weight: 1,
      arbitrary: sometimes(
        {
          ...common,
          prompt: template(sources),
          model: template(sources),
          thinking: fc.constantFrom("low", "high", "${{ vars.LEVEL }}"),
          harness: fc.constant("claude"),
          tools: fc.constant(["Read"]),
          integrations: fc.tuple(integration),
        },
        ["prompt", "harness"],
      ),
    },
  );
}

/** Steps of which each may read those before it. */
function steps(sources: readonly string[]): Arbitrary<StepsSoFar> {
  return identifiers(MAX_STEPS).chain((keys) =>
    keys.reduce<Arbitrary<StepsSoFar>>(
      (before, key) =>
        before.chain((so) =>
          step(so, key).map((made) => ({
            steps: [...so.steps, made],
            sources: [...so.sources, ...sourcesOf(made)],
          })),
        ),
      fc.constant({ steps: [], sources: [...sources, "step.attempt"] }),
    ),
  );
}

function sourcesOf(made: Record<string, unknown>): string[] {
  const { key, outputs: declared } = made;
  if (key === undefined) return [];
  const names = Object.keys((declared as object | undefined) ?? {});
  return [`steps.${key as string}.status`, ...names.map((name) => `steps.${key as string}.outputs.${name}`)];
}

// Jobs

const service = fc.oneof(
  fc.constant("redis:8"),
  sometimes(
    {
      image: fc.constant("postgres:18"),
      env: fc.constant({ A: "b" }),
      ports: fc.constant([5432]),
      health: sometimes(
        { cmd: fc.constant("pg_isready"), interval: duration, retries: fc.integer({ min: 1, max: 9 }) },
        ["cmd"],
      ),
    },
    ["image"],
  ),
);
const matrix = sometimes(
  {
    node: fc.constant([22, 24]),
    os: fc.constant(["linux", "mac"]),
    max_parallel: fc.integer({ min: 1, max: 9 }),
    fail_fast: fc.boolean(),
    include: fc.constant([{ node: 26, os: "linux" }]),
  },
  ["node", "os"],
);
const listening = (sources: readonly string[]) => {
  const listener = sometimes(
    {
      source: fc.constant("github_acme"),
      event: text,
      with: fc.dictionary(text, json, { maxKeys: 2 }),
      filter: condition(sources),
    },
    ["source", "event"],
  );
  return sometimes(
    {
      on: fc.array(listener, { minLength: 1, maxLength: 2 }),
      until: fc.array(listener, { minLength: 1, maxLength: 2 }),
      timeout: duration,
      max_executions: fc.integer({ min: 1, max: 9 }),
      batch: sometimes({ debounce: duration, max_size: fc.integer({ min: 1, max: 9 }), max_wait: duration }, [
        "max_wait",
      ]),
      on_resolve: fc.constantFrom("finish", "cancel"),
    },
    ["on", "until"],
  );
};

const concurrency = (sources: readonly string[]) =>
  fc.oneof(
    template(sources),
    sometimes({ group: template(sources), on_busy: fc.constantFrom("queue", "replace") }, ["group"]),
  );

/** What a later job knows of an earlier one. */
type Made = readonly [key: string, job: AuthoredJob];

function job(needed: readonly Made[]): Arbitrary<AuthoredJob> {
  const readable = needed.filter(([key]) => IDENTIFIER.test(key));
  const ofNeeds = readable.flatMap(([key, { outputs: published }]) => [
    `jobs.${key}.status`,
    ...Object.keys((published as object | undefined) ?? {}).map((name) => `jobs.${key}.outputs.${name}`),
  ]);
  const count = needed.length > 0 ? ["needs.size()"] : [];
  const kinds = {
    matrix: fc.record({ matrix }),
    listening: fc.record({ listening: listening([...AT_CREATION, ...ofNeeds]) }),
    plain: fc.constant({}),
  };
  return fc
    .oneof(
      { weight: 3, arbitrary: kinds.plain },
      { weight: 1, arbitrary: kinds.matrix },
      { weight: 1, arbitrary: kinds.listening },
    )
    .chain((kind) => {
      const axes = "matrix" in kind ? ["matrix.node", "matrix.os"] : [];
      const sources = [...AT_EXECUTION, ...ofNeeds, ...count, ...axes];
      return steps(sources).chain(({ steps: made, sources: all }) => {
        const atEnd = all.filter((source) => !/^(?:step|needs)\b/.test(source));
        const keys = {
          name: text,
          runner: labels,
          image: fc.constantFrom("node", "node:24", "registry.example:5000/a/b"),
          services: fc.dictionary(fc.constantFrom("db", "cache-1", "queue"), service, { minKeys: 1, maxKeys: 2 }),
          env: env(sources),
          execution_timeout: duration,
          priority: fc.integer({ min: -100, max: 100 }),
          if: inBraces(condition([...AT_CREATION, ...ofNeeds, ...axes])),
          success: condition(["executions.size()", "vars.A", ...ofNeeds]),
          execution_name: template([...AT_EXECUTION, ...ofNeeds]),
          checkout: fc.oneof(
            fc.constant(false),
            sometimes({
              "fetch-depth": fc.nat(),
              submodules: fc.constantFrom(true, false, "recursive"),
              lfs: fc.boolean(),
              "persist-credentials": fc.boolean(),
              permissions: fc.record({ contents: fc.constantFrom("read", "write") }),
            }),
          ),
          cache: sometimes(
            {
              key: fc.constantFrom("npm", "a-b"),
              paths: fc.tuple(folder),
              hash_files: fc.tuple(folder),
              restore_keys: fc.constant(["n"]),
            },
            ["key", "paths"],
          ),
          artifacts: fc.record({
            upload: fc.tuple(
              sometimes(
                {
                  name: fc.constant("built"),
                  paths: fc.tuple(folder),
                  retention: duration,
                  if_missing: fc.constantFrom("fail", "ignore"),
                  when: fc.constantFrom("success", "always"),
                },
                ["name", "paths"],
              ),
            ),
          }),
          ...("listening" in kind
            ? {}
            : {
                concurrency: concurrency(AT_EXECUTION),
                retry: fc.oneof(
                  fc.integer({ min: 1, max: 10 }),
                  sometimes(
                    {
                      max: fc.integer({ min: 1, max: 10 }),
                      on: fc.constantFrom("failure", ["failure", "timeout"]),
                      backoff: sometimes({ delay: duration, factor: fc.integer({ min: 1, max: 10 }), max: duration }, [
                        "delay",
                      ]),
                    },
                    ["max"],
                  ),
                ),
              }),
          ...("matrix" in kind
            ? {}
            : {
                outputs: fc.dictionary(identifier, template(atEnd), { minKeys: 1, maxKeys: 3 }),
              }),
        };
        return sometimes(keys).map((rest) => ({
          ...rest,
          ...kind,
          ...(needed.length > 0 ? { needs: needed.map(([key]) => key) } : {}),
          steps: [...made],
        }));
      });
    });
}

/** Each job may need those before it, so that there is no circle; keys that look like numbers test the order. */
const jobs: Arbitrary<readonly Made[]> = fc
  .uniqueArray(
    fc.oneof({ weight: 3, arbitrary: identifier }, { weight: 1, arbitrary: fc.nat({ max: 99 }).map(String) }),
    { minLength: 1, maxLength: MAX_JOBS },
  )
  .chain((keys) =>
    keys.reduce<Arbitrary<readonly Made[]>>(
      (before, key) =>
        before.chain((made) =>
          fc.subarray([...made]).chain((needed) => job(needed).map((one) => [...made, [key, one] as const])),
        ),
      fc.constant([]),
    ),
  );

const input = fc.oneof(
  sometimes({ type: fc.constant("string"), default: text, required: fc.boolean(), description: text }, ["type"]),
  sometimes({ type: fc.constant("number"), default: fc.integer() }, ["type"]),
  fc.constant({ type: "choice", options: ["a", "b"], default: "b" }),
);
const triggers = sometimes(
  {
    by_hand: sometimes(
      {
        source: fc.constant("manual"),
        event: text,
        with: fc.dictionary(text, json),
        inputs: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), input, { minKeys: 1, maxKeys: 3 }),
      },
      ["source", "event"],
    ),
    nightly: fc.record({
      source: fc.constant("cron"),
      event: fc.constant("tick"),
      config: sometimes(
        {
          schedule: fc.constantFrom("30 2 * * 1-5", "H H * * *", "0 0 L * *"),
          timezone: fc.constantFrom("UTC", "Europe/Paris"),
        },
        ["schedule"],
      ),
    }),
    on_push: sometimes(
      {
        source: fc.constant("github_acme"),
        event: text,
        filter: condition(AT_FILTER),
        with: fc.dictionary(text, json),
      },
      ["source", "event"],
    ),
  },
  ["on_push"],
);

/** Any workflow that the rules of the language allow, of all kinds of triggers, jobs, steps and expressions. */
export const wholeWorkflow: Arbitrary<AuthoredWorkflow> = fc.record({
  top: sometimes(
    {
      name: text,
      run_name: template(AT_CREATION.filter((source) => source !== "run.name")),
      runner: labels,
      env: env(AT_CREATION),
      triggers,
    },
    ["name", "runner"],
  ),
  jobs,
});
