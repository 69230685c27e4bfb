import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";
import { buildWorld, type World } from "./world.fixture.ts";

const run = promisify(execFile);
const PAGE = fileURLToPath(new URL("../../../docs/api.md", import.meta.url));
const LINE_LIMIT_MS = 60_000;
const SUITE_LIMIT_MS = 300_000;
/** Prints the status alone, and waits for no stream to end. */
const CURL = "curl() { command curl -sS -m 5 -o /dev/null -w '%{http_code}' \"$@\"; }";
/** Lines that need what only a provider hands out, or that stay open. */
const NOT_RUN = /callback\/api|stream|events|\/ws\b|tokens\/current|preview|root-key|\$PAT\b/;

/** Later names of routes that are shown by their first one. */
const OTHER_NAMES =
  /agent\/(providers|model-provider-catalog|default-provider)|model-providers$|runs\/steps\/|PUT .*agent$/;

/** The calls of docs/api.md, each as one shell command. */
function callsIn(page: string): string[] {
  const blocks = [...page.matchAll(/```(?:sh|console)\n([^]*?)```/g)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    block
      .replaceAll(/^\$ /gm, "")
      .split(/^(?=curl )/m)
      .map((line) => line.trim())
      .filter((line) => line.startsWith("curl ")),
  );
}

/** `POST /projects/$PROJECT/sync`. */
function calledBy(line: string): { method: string; path: string } {
  const [, path = ""] = /\$URL([^\s"'?]*)/.exec(line) ?? [];
  const [, given] = /-X (\w+)/.exec(line) ?? [];
  return { method: given ?? (/ -d /.test(line) ? "POST" : "GET"), path };
}

function matches(template: string, path: string): boolean {
  const [wanted, given] = [template.split("/"), path.split("/")];
  return (
    wanted.length === given.length &&
    wanted.every((segment, at) => segment === given[at] || (segment.startsWith("{") && given[at] !== ""))
  );
}

describe("the calls in docs/api.md", () => {
  let app: ServedApp;
  let world: World;
  let calls: string[];

  beforeAll(async () => {
    app = await serveApp({ SHIPFOX_GIT_ALLOW_FILE: "true", SHIPFOX_ALLOW_SIGNUP: "true" });
    world = await buildWorld(app);
    calls = callsIn(await readFile(PAGE, "utf8"));
  }, SUITE_LIMIT_MS);

  afterAll(async () => {
    await app.close();
    await world.close();
  });

  it("are all of routes that exist", () => {
    expect(calls.length).toBeGreaterThan(0);
    const unknown = calls.filter((line) => {
      const { method, path } = calledBy(line);
      return !app.routes.some((route) => route.method === method && matches(route.path, path)) && path !== "/ws";
    });
    expect(unknown).toEqual([]);
  });

  it("show every route of users, one name of each", () => {
    const ofUsers = app.routes.filter(({ credential }) => credential === "user");
    const shown = (route: (typeof ofUsers)[number]) =>
      calls.map(calledBy).some(({ method, path }) => method === route.method && matches(route.path, path));
    const silent = ofUsers.filter((route) => !shown(route)).map(({ method, path }) => `${method} ${path}`);
    expect(silent.filter((name) => !OTHER_NAMES.test(name))).toEqual([]);
  });

  it("do what they say, those that only read", { timeout: SUITE_LIMIT_MS }, async () => {
    const reading = calls.filter((line) => calledBy(line).method === "GET" && !NOT_RUN.test(line));
    expect(reading.length).toBeGreaterThan(0);
    for (const line of reading) {
      const { stdout } = await run("bash", ["-c", `${CURL}\n${line}`], {
        timeout: LINE_LIMIT_MS,
        env: { PATH: process.env["PATH"] ?? "", ...variables(), URL: app.url },
      });
      expect([line, stdout]).toEqual([line, "200"]);
    }
  });

  /** `$WORKSPACE` is an id of `workspaceId`. */
  function variables(): Record<string, string> {
    const named = Object.entries(world.params).map(([name, [value = ""]]) => [
      name.replace(/Id$/, "").toUpperCase(),
      value,
    ]);
    return {
      ...Object.fromEntries(named),
      REGISTRATION: world.params["tokenId"]?.[0] ?? "",
      RUN: world.params["id"]?.[0] ?? "",
      TOKEN: world.bearers.user ?? "",
    };
  }
});
