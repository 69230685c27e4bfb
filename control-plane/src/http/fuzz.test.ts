import { request } from "node:http";
import fc from "fast-check";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { execute, type RawRequest } from "./execute.ts";
import { errorCodesOf } from "./openapi.ts";
import type { Proven } from "./authenticate.ts";
import type { Credential, Reply, Route } from "./route.ts";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";
import { ChangeLog } from "./change-log.fixture.ts";
import { hostileText, hostileValue, knownValues, type JsonSchema, mutated, Values } from "./values.fixture.ts";
import { buildWorld, type World } from "./world.fixture.ts";

/** As many calls of every route, from a seed that is printed; `SHIPFOX_FUZZ_SEED` and `…_ROUTE` repeat what failed. */
const CASES_PER_ROUTE = Number(process.env["SHIPFOX_FUZZ_CASES"] ?? 300);
const SEED = Number(process.env["SHIPFOX_FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ONLY_ROUTE = process.env["SHIPFOX_FUZZ_ROUTE"];
/** A call that may wait is hung up on after this long. */
const HANG_UP_MS = 50;
const CHANGED = " changed ";
const TRIES_OF_CHANGES = 3;
/** No call may take longer, on whatever machine. */
const HANG_LIMIT_MS = 15_000;
const SUITE_LIMIT_MS = 600_000;

/** What changes at an error on purpose: wrong codes are counted. */
const COUNTED_ERRORS: Readonly<Record<string, readonly string[]>> = {
  "POST /auth/verify-email/confirm": ["email_challenges"],
  "POST /auth/verify-email/resend": ["email_challenges"],
};
/** Routes that start programs or work in the background of the server, for which fewer calls are enough. */
const SLOW_ROUTES: readonly string[] = [
  "POST /projects/{projectId}/sync",
  "POST /admin/root-key/rotate",
  "DELETE /workspaces/{workspaceId}",
];
const SLOW_SHARE = 10;

interface Case {
  readonly params: Record<string, string>;
  readonly query: readonly (readonly [string, string])[];
  readonly body: string;
  readonly headers: Record<string, string>;
}

type Parameter = { name: string; in: string; schema: JsonSchema; required?: boolean };
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: JsonSchema }>> };
}

describe(`every route, called with anything (SHIPFOX_FUZZ_SEED=${SEED})`, () => {
  let app: ServedApp;
  let world: World;
  let changes: ChangeLog;
  let values: Values;
  let paths: Record<string, Record<string, Operation>>;
  /** Once, because calls end sessions and change keys. */
  const proven = new Map<Credential, Proven<Credential>>();
  const succeeded = new Set<string>();
  const faults: string[] = [];
  const log = pino(
    { level: "error" },
    { write: (line: string) => faults.push((JSON.parse(line) as { err?: { stack?: string } }).err?.stack ?? line) },
  );

  beforeAll(async () => {
    app = await serveApp({
      SHIPFOX_GIT_ALLOW_FILE: "true",
      SHIPFOX_ALLOW_SIGNUP: "true",
      SHIPFOX_AGENT_PROBE_TIMEOUT_MS: "1000",
      // The job of the world is nobody's to take away meanwhile.
      SHIPFOX_LEASE_TERM_MS: "3000000",
    });
    world = await buildWorld(app);
    const document = (await (await fetch(`${app.url}/openapi.json`)).json()) as {
      paths: typeof paths;
      components: { schemas: Record<string, JsonSchema> };
    };
    ({ paths } = document);
    values = new Values(document.components.schemas, world);
    for (const [credential, bearer] of Object.entries(world.bearers) as [Credential, string | undefined][]) {
      const authorization = bearer === undefined ? undefined : `Bearer ${bearer}`;
      proven.set(credential, await app.services.authenticate(credential, authorization));
    }
    changes = await ChangeLog.start(app.store);
  }, SUITE_LIMIT_MS);

  afterAll(async () => {
    await app.close();
    await world.close();
  });

  function casesOf(route: Route): fc.Arbitrary<Case> {
    const operation = paths[route.path]?.[route.method.toLowerCase()] ?? {};
    const parameters = operation.parameters ?? [];
    const inPath = parameters.filter((parameter) => parameter.in === "path");
    const inQuery = parameters.filter((parameter) => parameter.in === "query");
    const params = fc.record(Object.fromEntries(inPath.map(({ name, schema }) => [name, pathValue(name, schema)])), {
      noNullPrototype: false,
    });
    const query = fc
      .tuple(...inQuery.map((parameter) => queryPairs(parameter)), strayPairs)
      .map((pairs) => pairs.flat(1));
    const content = Object.entries(operation.requestBody?.content ?? {})[0];
    const body = content ? bodyText(content[1].schema) : fc.constantFrom("", "{}");
    return fc.record({ params, query, body, headers: headersOf(content?.[0] ?? "application/json") });
  }

  function pathValue(name: string, schema: JsonSchema): fc.Arbitrary<string> {
    const known = world.params[name] ?? world.ids;
    return fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...known) },
      { weight: 1, arbitrary: values.of(schema).map(String) },
      { weight: 1, arbitrary: hostileText },
    );
  }

  function queryPairs({ name, schema, required }: Parameter): fc.Arbitrary<[string, string][]> {
    const known = knownValues(world.params, name);
    const good = known ? fc.constantFrom(...known) : values.of(schema).map((value) => String(value));
    const value = fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: hostileText });
    const lengths = required
      ? fc.oneof({ weight: 12, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.constantFrom(0, 2) })
      : fc.oneof(
          { weight: 3, arbitrary: fc.constant(0) },
          { weight: 2, arbitrary: fc.constant(1) },
          { weight: 1, arbitrary: fc.constant(2) },
        );
    return lengths.chain((length) =>
      fc
        .array(value, { minLength: length, maxLength: length })
        .map((all) => all.map((one): [string, string] => [name, one])),
    );
  }

  const strayPairs = fc.oneof(
    { weight: 8, arbitrary: fc.constant<[string, string][]>([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(hostileText, hostileText), { maxLength: 2 }) },
  );

  function bodyText(schema: JsonSchema): fc.Arbitrary<string> {
    const good = values.of(schema);
    return fc.oneof(
      { weight: 5, arbitrary: good.map((value) => JSON.stringify(value) ?? "") },
      { weight: 4, arbitrary: good.chain(mutated) },
      { weight: 1, arbitrary: hostileValue.map((value) => JSON.stringify(value) ?? "") },
      { weight: 1, arbitrary: hostileText },
    );
  }

  function headersOf(type: string): fc.Arbitrary<Record<string, string>> {
    const contentType = fc.oneof(
      { weight: 12, arbitrary: fc.constant(type) },
      { weight: 1, arbitrary: fc.constantFrom("text/csv", "application/json; charset=latin1", "", "a/b;c=d;;") },
    );
    const stray = fc.oneof(
      { weight: 6, arbitrary: fc.constant({}) },
      {
        weight: 1,
        arbitrary: fc.dictionary(
          fc.constantFrom(
            "idempotency-key",
            "prefer",
            "accept",
            "last-event-id",
            "cookie",
            "x-request-id",
            "user-agent",
            "x-github-event",
          ),
          hostileText,
          { maxKeys: 3, noNullPrototype: true },
        ),
      },
    );
    return fc.tuple(contentType, stray).map(([content, others]) => ({ "content-type": content, ...others }));
  }

  /**
   * What is wrong with a case; null when nothing is. Loops of the server change rows meanwhile, events are routed and
   * repositories looked at: what a refused call changes it changes again.
   */
  async function tryCase(route: Route, one: Case): Promise<string | null> {
    let wrong: string | null = null;
    for (let tries = 0; tries < TRIES_OF_CHANGES; tries += 1) {
      wrong = await callOnce(route, one);
      if (!wrong?.includes(CHANGED)) return wrong;
    }
    return wrong;
  }

  /** What is wrong with one call; null when nothing is. */
  async function callOnce(route: Route, { params, query, body, headers }: Case): Promise<string | null> {
    const hangUp = new AbortController();
    const services = { ...app.services, log };
    const caller = proven.get(route.credential) as Proven<Credential>;
    const call: RawRequest = {
      params,
      body: Buffer.from(body),
      ip: "127.0.0.1",
      id: "fuzz",
      path: route.path,
      header: (name) => headers[name],
      headers,
      query: new URLSearchParams(query.map(([name, value]): [string, string] => [name, value])),
      signal: hangUp.signal,
    };
    const before = faults.length;
    const mark = await changes.mark();
    const impatience = setTimeout(() => hangUp.abort(), HANG_UP_MS);
    const limit = new Promise<null>((resolve) => setTimeout(() => resolve(null), HANG_LIMIT_MS).unref());
    const reply = await Promise.race([execute(route, caller, call, services), limit]);
    clearTimeout(impatience);
    if (reply === null) return `no answer in ${HANG_LIMIT_MS} ms`;
    const wrong = await judge(route, reply);
    if (wrong) return `${wrong} ${faults.slice(before).join("\n")}`;
    if (reply.status < 400) {
      succeeded.add(`${route.method} ${route.path}`);
      return null;
    }
    const name = `${route.method} ${route.path}`;
    if (SLOW_ROUTES.includes(name)) return null;
    const changed = await changes.since(mark, COUNTED_ERRORS[name]);
    return changed.length === 0 ? null : `the error ${reply.status}${CHANGED}${changed.join(", ")}`;
  }

  async function judge(route: Route, reply: Reply): Promise<string | null> {
    if ("chunks" in reply) {
      for await (const _ of reply.chunks);
      return null;
    }
    if ("stream" in reply) return null;
    const { status, body } = reply;
    if (status < 400) {
      const schema = route.responses[status];
      if (schema === undefined) return `the status ${status} is not described`;
      if (schema === null || typeof schema === "string" || typeof body === "string" || Buffer.isBuffer(body))
        return null;
      const result = schema.safeParse(body);
      return result.success ? null : `the reply is not what is described: ${JSON.stringify(result.error.issues[0])}`;
    }
    // Told to providers in words of their own.
    const code = (body as { code?: string } | undefined)?.code;
    if (status === 500) return "answered 500";
    if (code === undefined) return status in route.responses ? null : `the status ${status} is not described`;
    return (errorCodesOf(route) as Set<string>).has(code) ? null : `the code ${code} is not described`;
  }

  it("answers as it is described, never with a 500, in time, and changes nothing when it answers an error", {
    timeout: SUITE_LIMIT_MS,
  }, async () => {
    const found: string[] = [];
    succeeded.clear();
    const routes = app.routes.toSorted((left, right) => destruction(left) - destruction(right));
    for (const [index, route] of routes.entries()) {
      const name = `${route.method} ${route.path}`;
      if (ONLY_ROUTE && name !== ONLY_ROUTE) continue;
      const numRuns = SLOW_ROUTES.includes(name) ? Math.ceil(CASES_PER_ROUTE / SLOW_SHARE) : CASES_PER_ROUTE;
      const cases = fc.sample(casesOf(route), { numRuns, seed: SEED + index });
      for (const [number, one] of cases.entries()) {
        const wrong = await tryCase(route, one);
        if (!wrong) continue;
        found.push(`${name} #${number}: ${wrong}\n${JSON.stringify(one).slice(0, 1_500)}`);
        break;
      }
    }
    expect(found.join("\n\n")).toBe("");
    // Else nothing but refusals would have been tried.
    if (!ONLY_ROUTE) expect(succeeded.size).toBeGreaterThan(routes.length / 2);
  });

  it("answers whatever path and method come over a socket, never with a 500", { timeout: SUITE_LIMIT_MS }, async () => {
    const known = app.routes.map(({ path }) => path);
    const escapes = fc.constantFrom(
      "%",
      "%zz",
      "%00",
      "%2f",
      "%c0%af",
      "%F0%9F%A6%8A",
      "..",
      "//",
      ";",
      ":",
      "{}",
      "~",
    );
    const paths = fc
      .tuple(fc.constantFrom(...known), fc.nat(40), escapes)
      .map(([path, at, escape]) => path.slice(0, at) + escape + path.slice(at));
    const methods = fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND");
    const bearer = world.bearers.user ?? "";
    for (const [method, path] of fc.sample(fc.tuple(methods, paths), { numRuns: CASES_PER_ROUTE, seed: SEED })) {
      const status = await statusOf(app.url, method, path, bearer);
      expect([method, path, status >= 200 && status < 500]).toEqual([method, path, true]);
    }
  });
});

/** What takes things away comes last, so that the others meet them. */
function destruction({ method, path }: Route): number {
  if (method === "GET") return 0;
  // With another key the credentials of the world are none any more.
  if (path.includes("root-key")) return 7;
  if (method === "DELETE" && path === "/workspaces/{workspaceId}") return 6;
  if (/leave|suspend/.test(path)) return 5;
  if (/revoke|drain|cancel|release|logout|archive|session|password|report$/.test(path)) return 3;
  return method === "DELETE" ? 2 : 1;
}

/** By node:http, because fetch tidies paths up. */
function statusOf(url: string, method: string, path: string, bearer: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, path, headers: { authorization: `Bearer ${bearer}` } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.setTimeout(HANG_LIMIT_MS, () => sent.destroy(new Error(`no answer in ${HANG_LIMIT_MS} ms`)));
    sent.once("error", reject);
    sent.end();
  });
}
