import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "@shipfox/shared/ids";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  connection,
  annotation,
  definition,
  ids,
  jobInState,
  jobSeed,
  membership,
  registrationToken,
  output,
  project,
  run,
  runFields,
  runner,
  sync,
  user,
} from "./testing/fixtures.ts";
import { nameOfHost } from "./contexts.ts";
import { CliHome, finish } from "./testing/run-cli.ts";
import { openEventStream, StandInServer, StreamedLog } from "@shipfox/shared/stand-in-server.fixture";

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
  server.on("GET /projects", { body: { projects: [project()], next_cursor: null } });
  server.on("GET /definitions", { body: { definitions: [definition()], sync: sync(), next_cursor: null } });
  server.on("POST /workflow-definitions/*/fire-manual", { status: 201, body: { workflow_run_id: ids.run } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const lines = (text: string) => text.trimEnd().split("\n");
const session = { token: "access-9", user, membership: null, admin_role: null };
const cookie = { "set-cookie": "shipfox_refresh_token=refresh-9; Path=/auth; HttpOnly" };

function serveRunThatEnds(status: "succeeded" | "failed" | "cancelled", ...text: string[]): void {
  server.on("GET /workflows/runs/*", { body: run(status, [jobInState(jobSeed(), status)]) });
  server.on("GET /steps/*/attempts/1/logs/stream", (_request, response) => {
    openEventStream(response);
    const log = new StreamedLog().add(...text.map((line) => output(`${line}\n`)));
    response.end(log.after("0").join("") + StreamedLog.end(false));
    return undefined;
  });
}

describe("signing in", () => {
  const about = (needs_setup: boolean) => ({ body: { name: "shipfox", version: "0.1.0", docs: "/docs", needs_setup } });

  it("takes the password from stdin and keeps the tokens in a file of its owner", async () => {
    server.on("GET /", about(false)).on("POST /auth/login", { body: session, headers: cookie });
    const args = ["login", "--url", `${server.url}/`, "--email", "ada@example.com", "--password-stdin"];
    const result = await home.run(args, { stdin: "correct horse battery\n" });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("Signed in");
    expect(result.stdout).toContain("next: shipfox workspaces create");
    expect(server.seen("POST /auth/login")[0]?.body).toEqual({
      email: "ada@example.com",
      password: "correct horse battery",
    });
    const file = await home.store.read();
    expect(file.contexts[nameOfHost(server.url)]).toEqual({
      url: server.url,
      email: "ada@example.com",
      access_token: "access-9",
      refresh_token: "refresh-9",
    });
    expect((await stat(home.store.path)).mode & 0o777).toBe(0o600);
  });

  it("says how to make the first account, and makes it", async () => {
    server.on("GET /", about(true)).on("POST /auth/signup", { status: 201, body: session, headers: cookie });
    const env = { SHIPFOX_URL: server.url };
    const asked = await home.run(["login"], { env });
    expect(asked.code).toBe(64);
    expect(asked.stderr).toContain(`shipfox login --url ${server.url} --signup --name "Your Name"`);
    const args = ["login", "--signup", "--name", "Ada", "--email", "ada@example.com", "--password-stdin", "--json"];
    const made = await home.run(args, { env: { ...env, SHIPFOX_SETUP_TOKEN: "tok" }, stdin: "correct horse battery" });
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({ url: server.url, user: { email: "ada@example.com" } });
    expect(server.seen("POST /auth/signup")[0]?.body).toMatchObject({ name: "Ada", setup_token: "tok" });
  });

  it("shows a refused password with its code and the next command", async () => {
    const body = { code: "invalid-credentials", message: "The e-mail address or the password is wrong." };
    server.on("GET /", about(false)).on("POST /auth/login", { status: 401, body });
    const args = ["login", "--url", server.url, "--email", "a@b.example", "--password-stdin"];
    const result = await home.run(args, { stdin: "x" });
    expect(result).toMatchObject({ code: 69, stdout: "" });
    expect(result.stderr).toContain("password is wrong. (invalid-credentials)\n  next: shipfox login --url ");
    expect(result.stderr).toContain(`next: shipfox login --url ${server.url}\n`);
  });

  it("forgets the tokens on logout even when the control plane is gone", async () => {
    await home.signIn(server.url);
    server.on("POST /auth/logout", { status: 204 });
    expect((await home.run(["logout", "--json"])).stdout).toContain('"signed_out": true');
    expect(server.seen("POST /auth/logout")[0]?.headers.cookie).toBe("shipfox_refresh_token=refresh-1");
    expect((await home.store.read()).contexts).toEqual({});
    await home.signIn("http://127.0.0.1:1");
    expect((await home.run(["logout"])).code).toBe(0);
    expect((await home.store.read()).contexts).toEqual({});
  });

  const pat = `sf_pat_${"x".repeat(43)}`;
  const token = {
    id: newId(),
    name: "ci",
    prefix: pat.slice(0, 12),
    workspace_id: ids.workspace,
    abilities: ["runs:read"],
    expires_at: "2030-01-01T00:00:00.000Z",
    last_used_at: null,
    created_at: "2026-01-01T00:00:00.000Z",
  };

  it("takes a personal access token from stdin, uses it as it is, and says when it is refused", async () => {
    server.on("GET /", about(false)).on("GET /auth/me", { body: { user, admin_role: null } });
    server.on("GET /auth/tokens/current", { body: token });
    const args = ["login", "--url", server.url, "--token-stdin"];
    expect((await home.run(args, { stdin: "hunter2" })).code).toBe(64);
    const result = await home.run(args, { stdin: `${pat}\n` });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("with the token ci, until 2030-01-01");
    expect((await home.run(["workspaces", "list"])).code).toBe(0);
    expect(server.seen("GET /workspaces")[0]?.headers.authorization).toBe(`Bearer ${pat}`);
    server.on("GET /workspaces", { status: 401, body: { code: "unauthorized" } });
    const refused = await home.run(["workspaces", "list"]);
    expect(refused.code).toBe(69);
    expect(refused.stderr).toContain("--token-stdin");
    expect(server.seen("POST /auth/refresh")).toEqual([]);
    expect((await home.run(["logout"])).code).toBe(0);
    expect(server.seen("POST /auth/logout")).toEqual([]);
  });

  it("makes, lists and revokes personal access tokens, with the password when it is asked for", async () => {
    await home.signIn(server.url);
    const needsPassword = { status: 403, body: { code: "password-required", message: "Send your password." } };
    server.on("POST /auth/tokens", ({ body }) =>
      (body as { current_password?: string }).current_password === undefined
        ? needsPassword
        : { status: 201, body: { ...token, raw_token: pat } },
    );
    const create = ["tokens", "create", "ci", "--ability", "secrets:write", "runs:read", "--ttl", "30d"];
    expect((await home.run(create)).stderr).toContain("--password-stdin");
    const made = await home.run([...create, "--password-stdin"], { stdin: "correct horse battery\n" });
    expect(made.stdout.split("\n")[0]).toBe(pat);
    expect(server.seen("POST /auth/tokens")[1]?.body).toEqual({
      name: "ci",
      workspace_id: ids.workspace,
      abilities: ["secrets:write", "runs:read"],
      ttl_seconds: 30 * 86_400,
      current_password: "correct horse battery",
    });
    server.on("GET /auth/tokens", { body: { tokens: [token], next_cursor: null } });
    server.on("DELETE /auth/tokens/*", { status: 204 });
    expect((await home.run(["tokens", "list"])).stdout).toMatch(/ci +sf_pat_xxxxx +runs:read +2030-01-01/);
    const bogus = await home.run(["tokens", "create", "ci", "--ability", "bogus"]);
    expect([bogus.code, bogus.stderr]).toEqual([64, expect.stringMatching(/projects:read.*runs:start/)]);
    expect((await home.run(["tokens", "revoke", "other"])).code).toBe(64);
    expect((await home.run(["tokens", "revoke", "ci"])).code).toBe(0);
    expect(server.seen("DELETE /auth/tokens/*")[0]?.path).toBe(`/auth/tokens/${token.id}`);
  });

  it("changes passwords, and sets new ones by link", async () => {
    await home.signIn(server.url);
    server.on("POST /auth/change-password", { status: 204 }).on("POST /auth/password/reset", { status: 204 });
    const two = { stdin: "correct horse battery\nanother horse entirely\n" };
    expect((await home.run(["password", "change", "--stdin"], two)).code).toBe(0);
    expect(server.seen("POST /auth/change-password")[0]?.body).toEqual({
      current_password: "correct horse battery",
      new_password: "another horse entirely",
    });
    expect((await home.run(["password", "reset", "ada@example.com"])).code).toBe(0);
    server.on("POST /auth/password/reset/confirm", { body: session, headers: cookie });
    const reset = `sf_pr_${"y".repeat(43)}`;
    const link = { stdin: `${server.url}/auth/reset?token=${reset}\nanother horse entirely\n` };
    expect((await home.run(["password", "set", "--stdin"], link)).code).toBe(0);
    expect(server.seen("POST /auth/password/reset/confirm")[0]?.body).toMatchObject({ token: reset });
    expect((await home.store.read()).contexts[nameOfHost(server.url)]?.refresh_token).toBe("refresh-9");
    const shown = { mailed: false, reset_url: "http://x/auth/reset?token=1", expires_at: token.expires_at };
    server.on("POST /admin/auth/password-reset-links", { status: 201, body: shown });
    expect((await home.run(["admin", "users", "reset-link", "bob@example.com"])).stdout).toContain(shown.reset_url);
  });

  it("says who is signed in", async () => {
    await home.signIn(server.url);
    server.on("GET /auth/me", { body: { user, admin_role: "admin-owner" } });
    expect((await home.run(["whoami"])).stdout).toBe(`Ada, ada@example.com (admin-owner) at ${server.url}\n`);
    expect(server.seen("GET /auth/me")[0]?.headers.authorization).toBe("Bearer access-1");
  });
});

describe("running a workflow", () => {
  beforeEach(() => home.signIn(server.url));

  it("starts it with inputs and names the next commands", async () => {
    server.on("GET /workflows/runs/*", { body: run("pending", []) });
    const result = await home.run(["run", "ci", "-i", "target=staging", "--input", "n:=3"]);
    expect(result.code).toBe(0);
    expect(result.stdout).toContain(`Started CI #7 (${ids.run})`);
    expect(result.stdout).toContain(`next: shipfox runs watch ${ids.run}`);
    expect(server.seen("POST /workflow-definitions/*/fire-manual")[0]?.body).toEqual({
      inputs: { target: "staging", n: 3 },
    });
    const json = await home.run(["run", "ci", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ workflow_run_id: ids.run, number: 7 });
    expect(server.seen("POST /workflow-definitions/*/fire-manual")[1]?.body).toEqual({});
  });

  it.each([
    ["succeeded", 0],
    ["failed", 1],
    ["cancelled", 2],
  ] as const)("follows to the end and exits with the result: %s is %i", async (status, code) => {
    serveRunThatEnds(status, "hello");
    const result = await home.run(["run", "CI", "--follow"]);
    expect(result.code).toBe(code);
    expect(result.stdout).toContain("[build] hello\n");
    expect(lines(result.stdout).at(-1)).toContain(`CI #7 ${status}`);
    expect(result.stdout).not.toContain("\u001b");
  });

  it("follows as NDJSON with the result as the last line", async () => {
    serveRunThatEnds("succeeded", "hello");
    const result = await home.run(["run", "CI", "-f", "--json"]);
    const events = lines(result.stdout).map((line) => JSON.parse(line));
    expect(events.map(({ type }) => type)).toEqual([
      "execution",
      "step",
      "log",
      "log_end",
      "step",
      "execution",
      "job",
      "run",
      "result",
    ]);
    expect(events[2]).toMatchObject({ job: "build", step: "Test", record: { data: "hello\n" } });
    expect(events.at(-1)).toEqual({ type: "result", workflow_run_id: ids.run, number: 7, status: "succeeded" });
  });

  it("says which token may start a run when the one that asks may only look", async () => {
    const details = { needed: "runs:start", abilities: ["projects:read", "runs:read"] };
    const body = { code: "forbidden", message: "the access token lacks the ability runs:start", details };
    server.on("POST /workflow-definitions/*/fire-manual", { status: 403, body });
    const { code, stderr } = await home.run(["run", "CI"]);
    expect(code).toBe(69);
    expect(stderr).toContain("shipfox tokens create NAME --ability projects:read runs:read runs:start\n");
  });

  it("leaves the run alone on Ctrl-C and says how to go on", async () => {
    server.on("GET /workflows/runs/*", { body: run("running", [jobInState(jobSeed(), "running")]) });
    server.on("GET /steps/*/attempts/1/logs/stream", (_request, response) => {
      openEventStream(response);
      response.write(new StreamedLog().add(output("working\n")).after("0").join(""));
      return undefined;
    });
    const child = home.start(["run", "CI", "--follow"]);
    const done = finish(child);
    child.stdout?.on("data", (chunk: Buffer) => chunk.toString().includes("working") && child.kill("SIGINT"));
    const result = await done;
    expect(result.code).toBe(130);
    expect(result.stderr).toContain(`shipfox logs ${ids.run} -f`);
    expect(result.stderr).toContain(`shipfox runs cancel ${ids.run}`);
    expect(server.seen("POST /workflows/runs/*/cancel")).toHaveLength(0);
  });

  it("names the choices when it cannot choose", async () => {
    const two = [project(), project({ id: newId(), slug: "api" })];
    server.on("GET /projects", { body: { projects: two, next_cursor: null } });
    const result = await home.run(["run", "ci", "--json"]);
    expect(result.code).toBe(64);
    expect(result.stderr).toContain("There are 2 projects: shop, api.\n  next: add --project shop");
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "usage" } });
  });

  it("refuses a workflow without a manual trigger before firing it", async () => {
    const listed = { definitions: [definition({ manual_trigger: null })], sync: sync(), next_cursor: null };
    server.on("GET /definitions", { body: listed });
    const result = await home.run(["run", "ci"]);
    expect(result.code).toBe(64);
    expect(result.stderr).toContain("has no manual trigger");
    expect(server.seen("POST /workflow-definitions/*/fire-manual")).toHaveLength(0);
  });
});

describe("runs and logs", () => {
  beforeEach(() => home.signIn(server.url));
  const listed = { ...runFields({ status: "failed" }), jobs: [], job_status_counts: [], job_display_status_counts: [] };
  const list = { body: { runs: [{ ...listed, has_started_job_execution: true }], next_cursor: null } };

  it("lists runs as a table, or as one document", async () => {
    server.on("GET /workflows/runs", list);
    const table = await home.run(["runs", "list", "--status", "failed", "-n", "5"]);
    expect(lines(table.stdout)[0]).toMatch(/^STATUS +RUN +WORKFLOW/);
    expect(table.stdout).toContain(ids.run);
    const query = server.seen("GET /workflows/runs")[0]?.query;
    expect([query?.get("status"), query?.get("limit"), query?.get("project_id")]).toEqual(["failed", "5", ids.project]);
    expect(JSON.parse((await home.run(["runs", "list", "--json"])).stdout).runs).toHaveLength(1);
  });

  it("says whether there is no run yet, or none like that", async () => {
    server.on("GET /workflows/runs", { body: { runs: [], next_cursor: null } });
    expect((await home.run(["runs", "list"])).stdout).toBe(
      "shop has no run yet.\n  next: shipfox run <workflow> --follow\n",
    );
    const filtered = await home.run(["runs", "list", "--status", "failed"]);
    expect(filtered.stdout).toBe("shop has no such run.\n  next: shipfox runs list\n");
  });

  it("views and cancels a run by its number", async () => {
    server.on("GET /workflows/runs", list).on("GET /workflows/runs/*", { body: run("failed", []) });
    const said = annotation({ style: "error", body: "2 tests failed" });
    server.on("GET /annotations", ({ query }) =>
      query.has("cursor")
        ? { body: { annotations: [annotation()], has_more: false, next_cursor: null } }
        : { body: { annotations: [said], has_more: true, next_cursor: "c" } },
    );
    const view = await home.run(["runs", "view", "#7"]);
    expect(view.stdout).toContain("CI #7 failed");
    expect(view.stdout).toContain("annotations: 1 error, 1 note");
    const document = JSON.parse((await home.run(["runs", "view", "#7", "--json"])).stdout);
    expect(document.annotations[0]).toEqual(said);
    server.on("POST /workflows/runs/*/cancel", {
      status: 409,
      body: { code: "run-already-finished", message: "It has ended." },
    });
    const refused = await home.run(["runs", "cancel", "7"]);
    expect(refused).toMatchObject({ code: 69, stdout: "" });
    expect(refused.stderr).toContain("(run-already-finished)");
    server.on("POST /workflows/runs/*/cancel", { body: runFields({ status: "cancelled" }) });
    expect((await home.run(["runs", "cancel", ids.run])).stdout).toContain("Cancelled CI #7");
  });

  it("prints the pages of a log, whole or raw, and selects jobs and steps", async () => {
    const run7 = run("succeeded", [jobInState(jobSeed(), "succeeded"), jobInState(jobSeed(), "succeeded", "lint")]);
    server.on("GET /workflows/runs/*", { body: run7 });
    server.on("GET /steps/*/attempts/1/logs", ({ query }) => {
      const first = query.get("cursor") === "0";
      const ndjson = encodeLogRecord(output(first ? "one\ntw" : "o\n"));
      return {
        body: {
          mode: "inline",
          ndjson,
          next_cursor: first ? 10 : 20,
          has_more: first,
          state: "closed",
          truncated: false,
        },
      };
    });
    const text = await home.run(["logs", ids.run, "--job", "lint"]);
    expect(text.stdout).toContain("[lint] one\n[lint] two\n");
    expect(text.stdout).not.toContain("[build]");
    expect((await home.run(["logs", ids.run, "--job", "build", "--step", "test", "--raw"])).stdout).toBe("one\ntwo\n");
    const document = JSON.parse((await home.run(["logs", ids.run, "--json"])).stdout);
    expect(document.logs.map(({ job, records }: { job: string; records: unknown[] }) => [job, records.length])).toEqual(
      [
        ["build", 2],
        ["lint", 2],
      ],
    );
    const wrong = await home.run(["logs", ids.run, "--job", "nope"]);
    expect(wrong).toMatchObject({ code: 64 });
    expect(wrong.stderr).toContain("it has: build, lint");
  });

  it("prints only the lines that a pattern is found in, also while following, and exits with 1 without any", async () => {
    serveRunThatEnds("failed", "one", "\u001b[31mERR\u001b[0mOR two", "10%\rerror three", "four");
    const followed = await home.run(["logs", ids.run, "-f", "--grep", "^(?i:error) t"]);
    expect(followed).toEqual({ code: 0, stdout: "[build] ERROR two\n[build] error three\n", stderr: "" });
    const raw = await home.run(["logs", ids.run, "-f", "--raw", "--grep", "two$"]);
    expect(raw.stdout).toBe("\u001b[31mERR\u001b[0mOR two\n");
    expect(await home.run(["logs", ids.run, "-f", "--grep", "five"])).toEqual({ code: 1, stdout: "", stderr: "" });
    const wrong = await home.run(["logs", ids.run, "--grep", "("]);
    expect(wrong).toMatchObject({ code: 64, stdout: "" });
    expect(wrong.stderr).toContain("Unterminated group");
  });

  it("follows a log and exits with 0 whatever the run's result", async () => {
    serveRunThatEnds("failed", "hello");
    const result = await home.run(["logs", ids.run, "-f", "--raw"]);
    expect(result).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
  });
});

describe("runners", () => {
  beforeEach(() => home.signIn(server.url));

  it("prints the exact command that starts a runner", async () => {
    server.on("POST /workspaces/*/runners/manual-registration-tokens", ({ body }) => {
      const { name, max_uses, ttl_seconds } = body as { name: string; max_uses: number; ttl_seconds: number };
      expect(ttl_seconds).toBe(86_400);
      const rest = {
        id: newId(),
        prefix: "sf_mrt_abcde",
        workspace_id: ids.workspace,
        created_at: "2026-07-06T10:00:00.000Z",
      };
      return {
        status: 201,
        body: { ...rest, raw_token: "sf_mrt_secret", name, max_uses, expires_at: "2026-07-07T10:00:00.000Z" },
      };
    });
    server.on("GET /releases/SHA256SUMS", { body: {} });
    const args = ["runners", "add", "--name", "hosts", "--max-uses", "2", "--ttl", "24h"];
    const command = `curl -fsSL ${server.url}/install.sh | sudo SHIPFOX_TOKEN=sf_mrt_secret sh -s -- runner --url ${server.url} --labels linux`;
    expect((await home.run(args)).stdout).toContain(`  ${command}\n`);
    expect(JSON.parse((await home.run([...args, "--json"])).stdout).command).toBe(command);
    const wrong = [
      ["--ttl", "soon"],
      ["--max-uses", "0"],
      ["--labels", "linux; reboot"],
    ];
    const codes = await Promise.all(wrong.map(async (flags) => (await home.run(["runners", "add", ...flags])).code));
    expect(codes).toEqual([64, 64, 64]);
  });

  it("hands a registration token over in a file that only its owner may read, for one use and a quarter of an hour unless more is asked for", async () => {
    const asked: unknown[] = [];
    server.on("POST /workspaces/*/runners/manual-registration-tokens", ({ body }) => {
      const { ttl_seconds: life, max_uses: uses } = body as { ttl_seconds?: number; max_uses?: number };
      asked.push([life, uses]);
      return { status: 201, body: { ...registrationToken(), raw_token: "sf_mrt_secret" } };
    });
    server.on("GET /releases/SHA256SUMS", { body: {} });
    const add = ["runners", "add", "--token-file", "token.txt"];
    const added = await home.run(add);
    const file = join(home.directory, "token.txt");
    expect(added.stdout).toContain(`sh -s -- runner --url ${server.url} --labels linux --token-file ${file}\n`);
    expect(added.stdout + added.stderr).not.toContain("sf_mrt_secret");
    expect([await readFile(file, "utf8"), (await stat(file)).mode & 0o777]).toEqual(["sf_mrt_secret\n", 0o600]);
    const again = await home.run(add);
    expect([again.code, again.stderr]).toEqual([64, expect.stringContaining("is there already; name a new file")]);
    const json = await home.run([
      "runners",
      "add",
      "--token-file",
      "other.txt",
      "--ttl",
      "never",
      "--max-uses",
      "any",
      "--json",
    ]);
    expect(json.stdout).not.toContain("sf_mrt_secret");
    expect(asked).toEqual([
      [900, 1],
      [undefined, undefined],
    ]);

    server.on("POST /workspaces/*/runners/manual-registration-tokens", { status: 403, body: { code: "forbidden" } });
    expect((await home.run(["runners", "add", "--token-file", "none.txt"])).code).toBe(69);
    await expect(stat(join(home.directory, "none.txt"))).rejects.toThrow("ENOENT");
  });

  it("prints how to start a runner by hand where the control plane has nothing to install", async () => {
    server.on("POST /workspaces/*/runners/manual-registration-tokens", {
      status: 201,
      body: { ...registrationToken(), raw_token: "sf_mrt_secret" },
    });
    const start = `runner/bin/shipfox-runner --api-url ${server.url} --labels linux\n`;
    const { stdout } = await home.run(["runners", "add"]);
    expect(stdout).toContain(`  SHIPFOX_RUNNER_REGISTRATION_TOKEN=sf_mrt_secret ${start}`);
    expect(stdout).toContain("next: to have the token in a file alone: shipfox runners add --token-file token.txt\n");
    expect(stdout).not.toContain("install.sh");
    const inFile = await home.run(["runners", "add", "--token-file", "token.txt"]);
    const file = join(home.directory, "token.txt");
    expect(inFile.stdout).toContain(`  SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=${file} ${start}`);
    expect(inFile.stdout).not.toContain("sf_mrt_secret");
  });

  it("lists what keeps runners from taking jobs, and versions that are too far apart", async () => {
    const sick = { reason: "Docker does not answer", since: "2026-07-07T10:00:00.000Z" };
    const runners = [
      runner({ state: "unhealthy", unhealthy: sick }),
      runner({ name: "old-1", version_warning: "upgrade the runner" }),
    ];
    server.on("GET /workspaces/*/runners", { body: { runners } });
    const { stdout } = await home.run(["runners", "list"]);
    expect(stdout).toMatch(/build-1 +unhealthy/);
    expect(stdout).toContain("build-1: Docker does not answer");
    expect(stdout).toContain("old-1: upgrade the runner");
    const online = await home.run(["runners", "list", "--online"]);
    expect(online.stdout).toContain("old-1");
    expect(online.stdout).not.toContain("build-1");
  });

  it("lists, drains and revokes", async () => {
    const one = runner();
    server.on("GET /workspaces/*/runners", { body: { runners: [one] } });
    server.on(`POST /workspaces/*/runners/${one.id}/drain`, { body: { ...one, state: "draining" } });
    server.on(`POST /workspaces/*/runners/${one.id}/revoke`, { body: { ...one, state: "revoked" } });
    expect((await home.run(["runners", "list"])).stdout).toMatch(/build-1 +online +linux,x64/);
    expect((await home.run(["runners", "drain", "build-1"])).stdout).toContain("takes no more jobs");
    expect(JSON.parse((await home.run(["runners", "revoke", one.id, "--json"])).stdout).state).toBe("revoked");
    expect((await home.run(["runners", "revoke", "build-1"])).stdout).toContain("shipfox runners tokens list");
  });

  it("lists the registration tokens that can be used, and revokes one, with its runners when asked", async () => {
    const hosts = registrationToken({ name: "hosts", max_uses: 10, uses: 3, expires_at: "2026-07-07T10:00:00.000Z" });
    const twin = registrationToken({ name: "hosts" });
    const path = "GET /workspaces/*/runners/manual-registration-tokens";
    server.on(path, { body: { manual_registration_tokens: [hosts, twin] } });
    server.on("POST /workspaces/*/runners/manual-registration-tokens/*/revoke", { body: hosts });
    const { stdout } = await home.run(["runners", "tokens", "list"]);
    expect(stdout).toMatch(/hosts +sf_mrt_abcde +3 of 10 +2026-07-07 10:00:00/);
    expect(stdout).toMatch(/hosts +sf_mrt_abcde +0 +never/);

    const twice = await home.run(["runners", "tokens", "revoke", "hosts"]);
    expect([twice.code, twice.stderr]).toEqual([64, expect.stringContaining("name one by its id")]);
    const unknown = await home.run(["runners", "tokens", "revoke", "others"]);
    expect([unknown.code, unknown.stderr]).toEqual([64, expect.stringContaining("shipfox runners tokens list")]);

    const kept = await home.run(["runners", "tokens", "revoke", hosts.id]);
    expect(kept.stdout).toBe("✓ No more runners register with hosts; those that did go on.\n");
    const all = await home.run(["runners", "tokens", "revoke", twin.id, "--cascade"]);
    expect(all.stdout).toContain("those that did are revoked");
    const calls = server.seen("POST /workspaces/*/runners/manual-registration-tokens/*/revoke");
    expect(calls.map((call) => [call.path.includes(hosts.id), call.query.get("cascade")])).toEqual([
      [true, "false"],
      [false, "true"],
    ]);

    server.on(path, { body: { manual_registration_tokens: [] } });
    expect((await home.run(["runners", "tokens", "list"])).stdout).toContain("next: shipfox runners add");
  });
});

describe("registries", () => {
  beforeEach(() => home.signIn(server.url));
  const credential = {
    id: newId(),
    workspace_id: ids.workspace,
    host: "registry.example",
    username: "ci",
    project_ids: null,
    created_at: "2026-07-07T10:00:00.000Z",
  };

  it("takes the password from stdin, never from an argument, and does not print it", async () => {
    const bodies: unknown[] = [];
    server.on("POST /workspaces/*/registry-credentials", ({ body }) => {
      bodies.push(body);
      return { status: 201, body: credential };
    });
    const args = ["registries", "add", "registry.example", "--username", "ci"];
    const added = await home.run([...args, "--password-stdin"], { stdin: "pass:word\n" });
    expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining("registry.example") });
    expect(bodies).toEqual([{ host: "registry.example", username: "ci", password: "pass:word" }]);
    expect(added.stdout + added.stderr).not.toContain("pass:word");
    expect((await home.run(args)).stderr).toContain("--password-stdin");
  });

  it("lists them and removes one by its host", async () => {
    server.on("GET /workspaces/*/registry-credentials", { body: { registry_credentials: [credential] } });
    server.on(`DELETE /workspaces/*/registry-credentials/${credential.id}`, { status: 204 });
    expect((await home.run(["registries", "list"])).stdout).toMatch(/registry\.example +ci +all/);
    expect((await home.run(["registries", "remove", "registry.example"])).stdout).toContain("is removed");
    expect((await home.run(["registries", "remove", "other.example"])).code).toBe(64);
  });
});

describe("workflow files", () => {
  const GOOD = "name: B\nrunner: linux\njobs: { build: { steps: [{ run: make }] } }\n";
  let folder: string;

  beforeEach(async () => {
    folder = join(home.directory, ".shipfox/workflows");
    await mkdir(join(folder, "nightly"), { recursive: true });
  });

  it("shows each fault at its place and exits with 1, without a login and without a server", async () => {
    await writeFile(join(folder, "a.yml"), "name: A\njbos: {}\n");
    await writeFile(join(folder, "nightly/b.yaml"), GOOD);
    await writeFile(join(folder, "notes.txt"), "no workflow");
    const result = await home.run(["validate"]);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/^\.shipfox\/workflows\/a\.yml:2:1: error\[unknown-key\]: .*`jobs`\?$/m);
    expect(result.stdout).toContain("✓ .shipfox/workflows/nightly/b.yaml");
    expect(await home.run(["validate", ".shipfox/workflows/nightly", ".shipfox/workflows/nightly/b.yaml"])).toEqual({
      code: 0,
      stdout: "✓ .shipfox/workflows/nightly/b.yaml\n",
      stderr: "",
    });
    const document = JSON.parse((await home.run(["validate", "--json"])).stdout);
    expect(document).toMatchObject({
      valid: false,
      files: [
        { valid: false, errors: [{ code: "unknown-key", line: 2, column: 1, suggestion: "jobs" }] },
        { valid: true },
      ],
    });
    expect(server.seen("POST /definitions/validate")).toEqual([]);
  });

  it("looks for called workflows beside the file", async () => {
    const caller = "name: C\njobs:\n  call: { uses: ./.shipfox/workflows/called.yml, with: { level: 1 } }\n";
    await writeFile(join(folder, "caller.yml"), caller);
    const missing = await home.run(["validate", ".shipfox/workflows/caller.yml"]);
    expect(missing.stdout).toContain(
      ".shipfox/workflows/caller.yml:3:17: error[unknown-called-workflow]: there is no workflow file `.shipfox/workflows/called.yml`",
    );
    await writeFile(join(folder, "called.yml"), `inputs: { level: { type: number } }\n${GOOD}`);
    expect(await home.run(["validate", ".shipfox/workflows/caller.yml"])).toMatchObject({ code: 0 });
    await writeFile(join(folder, "called.yml"), `inputs: { level: { type: string } }\n${GOOD}`);
    expect((await home.run(["validate"])).stdout).toContain("error[invalid-call-input]: `level` must be a string");
  });

  it("asks the control plane when it is told to", async () => {
    await writeFile(join(folder, "b.yaml"), GOOD);
    expect((await home.run(["validate", "--server"])).code).toBe(69);
    await home.signIn(server.url);
    const fault = { code: "missing-runner-label", message: "no labels", path: "jobs.build", line: 3, column: 9 };
    server.on("POST /definitions/validate", { body: { valid: false, errors: [fault] } });
    const result = await home.run(["validate", "--server"]);
    expect(result.code).toBe(1);
    expect(result.stdout).toContain(".shipfox/workflows/b.yaml:3:9: error[missing-runner-label]: no labels\n");
  });

  it("says when there is no file", async () => {
    expect(await home.run(["validate"])).toMatchObject({ code: 64 });
    expect((await home.run(["validate", "missing.yml"])).stderr).toContain("There is no file missing.yml.");
  });
});

describe("workspaces and projects", () => {
  beforeEach(() => home.signIn(server.url));

  it("makes a connection for the host, the project, and shows its workflows", async () => {
    server.on("GET /integration-connections", { body: { connections: [] } });
    server.on("POST /integrations/git/connections", { status: 201, body: connection() });
    server
      .on("POST /projects", { status: 201, body: project() })
      .on("POST /projects/*/sync", { status: 202, body: sync({ status: "syncing" }) });
    const args = ["projects", "create", "--repo", "https://git.example.com/shop.git", "--git-token-stdin"];
    const result = await home.run(args, { stdin: "t0ken\n" });
    expect(result.stderr).toBe("");
    expect(result.code).toBe(0);
    expect(result.stdout).toContain("CI .shipfox/workflows/ci.yml\n  next: shipfox run CI --project shop --follow");
    expect(server.seen("POST /integrations/git/connections")[0]?.body).toEqual({
      workspace_id: ids.workspace,
      name: "git.example.com",
      base_url: "https://git.example.com",
      token: "t0ken",
    });
    expect(server.seen("POST /projects")[0]?.body).toEqual({
      workspace_id: ids.workspace,
      name: "shop",
      source: { connection_id: ids.connection, external_repository_id: "git:https://git.example.com/shop.git" },
    });
  });

  it("takes the connection back that it made for a project that is refused, and says where files may lie", async () => {
    server.on("GET /integration-connections", { body: { connections: [] } });
    server.on("POST /integrations/git/connections", { status: 201, body: connection() });
    server.on(`DELETE /integration-connections/${ids.connection}`, { status: 204 });
    const details = { allowed_by: "SHIPFOX_GIT_ALLOW_FILE" };
    const refused = { status: 422, body: { code: "invalid-repository-url", message: "not allowed here", details } };
    server.on("POST /projects", refused);
    const create = ["projects", "create", "--repo", "file:///srv/shop.git"];
    const { code, stderr } = await home.run(create);
    expect(code).toBe(64);
    expect(stderr).toContain("not allowed here");
    expect(stderr).toContain("DATA/repositories");
    expect(server.seen("DELETE /integration-connections/*")).toHaveLength(1);

    server.on(`DELETE /integration-connections/${ids.connection}`, {
      status: 409,
      body: { code: "connection-in-use" },
    });
    expect((await home.run(create)).stderr).toContain("not allowed here");
    server.on("GET /integration-connections", { body: { connections: [connection({ display_name: "local files" })] } });
    await home.run(create);
    expect(server.seen("DELETE /integration-connections/*")).toHaveLength(2);
  });

  it("uses the connection of the host when there is one", async () => {
    server.on("GET /integration-connections", { body: { connections: [connection()] } });
    server.on("POST /projects", { status: 201, body: project() }).on("POST /projects/*/sync", { body: sync() });
    expect((await home.run(["projects", "create", "--repo", "https://git.example.com/shop.git"])).code).toBe(0);
    expect(server.seen("POST /integrations/git/connections")).toHaveLength(0);
  });

  it("waits for a sync, and exits with 1 when it fails", async () => {
    let looks = 0;
    server.on("POST /projects/*/sync", { status: 202, body: sync({ status: "syncing" }) });
    server.on("GET /definitions", () => {
      looks += 1;
      const failed = { status: "failed", last_error_code: "invalid-definition", last_error_message: "ci.yml: no jobs" };
      return { body: { definitions: [], sync: sync(looks === 1 ? { status: "syncing" } : failed), next_cursor: null } };
    });
    const result = await home.run(["projects", "sync", "shop"]);
    expect(result.code).toBe(1);
    expect(result.stdout).toContain("ci.yml: no jobs (invalid-definition)");
  });

  it("shows the faults of each file after a sync, and which have an earlier version", async () => {
    const fault = { code: "unknown-key", message: "no key `stepz`", path: "jobs.a.stepz", line: 5, column: 3 };
    const file = (config_path: string, status: string, definition_id: string | null, diagnostics: unknown[]) => {
      return { config_path, status, definition_id, diagnostics };
    };
    const files = [
      file("good.yml", "active", ids.definition, []),
      file("ci.yml", "invalid", ids.definition, [fault]),
      file("new.yml", "invalid", null, [fault]),
    ];
    const failed = { status: "failed", last_error_code: "invalid-definition", last_error_message: "x", files };
    server.on("POST /projects/*/sync", { status: 202, body: sync({ status: "syncing" }) });
    server.on("GET /definitions", { body: { definitions: [], sync: sync(failed), next_cursor: null } });
    const { code, stdout } = await home.run(["projects", "sync", "shop"]);
    expect(code).toBe(1);
    expect(stdout).toContain("2 of 3 workflow files have faults; 1 were taken over (invalid-definition)");
    expect(stdout).toContain("ci.yml:5:3: no key `stepz` (unknown-key)\n    its last good version stays\n");
    expect(stdout).toContain("new.yml:5:3: no key `stepz` (unknown-key)\n    there is no earlier version of it\n");
  });

  it("lists and creates", async () => {
    expect((await home.run(["projects", "list"])).stdout).toContain("git:https://git.example.com/shop.git");
    server.on("GET /projects", ({ query }) => ({
      body: { projects: [project()], next_cursor: query.has("cursor") ? null : "c" },
    }));
    const cut = await home.run(["projects", "list", "-n", "1"]);
    expect([cut.code, cut.stderr]).toEqual([0, "There are more: --limit <count> or --all\n"]);
    expect(JSON.parse((await home.run(["projects", "list", "--all", "--json"])).stdout).projects).toHaveLength(2);
    expect((await home.run(["workspaces", "list"])).stdout).toMatch(/web +Web Team +owner/);
    const times = { created_at: "2026-07-06T10:00:00.000Z", updated_at: "2026-07-06T10:00:00.000Z" };
    const made = { id: newId(), name: "Ops", slug: "ops", status: "active", settings: {}, ...times };
    server.on("POST /workspaces", { status: 201, body: made });
    expect((await home.run(["workspaces", "create", "Ops"])).stdout).toContain("next: shipfox projects create");
  });
});

describe("the command line itself", () => {
  it("suggests the command that was meant and exits with 64", async () => {
    const result = await home.run(["validte"]);
    expect(result).toMatchObject({ code: 64, stdout: "" });
    expect(result.stderr).toContain(`There is no command "validte" here; did you mean validate?`);
  });

  it("names the flag that was meant, in words and as a document", async () => {
    const sentence = "There is no flag --jsno here; did you mean --json? --help lists all with examples.";
    const inWords = await home.run(["runs", "list", "--jsno"]);
    expect(inWords).toMatchObject({ code: 64, stdout: "", stderr: `✗ ${sentence}\n` });
    const document = await home.run(["runs", "list", "--jsno", "--json"]);
    expect(JSON.parse(document.stdout)).toMatchObject({ error: { code: "usage", message: sentence } });
    expect((await home.run(["runs", "view"])).stderr).toContain("Missing required argument 'run'; --help shows all");
  });

  it("says that a page of the dashboard is no control plane", async () => {
    server.on("GET /app/runs/", { status: 404, body: { code: "not-found", message: "there is no such page" } });
    const result = await home.run(["login", "--url", `${server.url}/app/runs`]);
    expect(result).toMatchObject({ code: 64, stdout: "" });
    expect(result.stderr).toContain(`There is no control plane at the path /app/runs of ${server.url}`);
    expect(result.stderr).toContain(`next: shipfox login --url ${server.url}\n`);
  });

  it("asks to sign in, in words and as a document, with 69", async () => {
    const result = await home.run(["runs", "list", "--json"]);
    expect(result.code).toBe(69);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "not-signed-in" } });
    expect(result.stderr).toContain("next: shipfox login");
  });

  it("says that nobody answers, with 69", async () => {
    await home.signIn(server.url);
    await server[Symbol.asyncDispose]();
    server = await StandInServer.start();
    const result = await home.run(["whoami"]);
    expect(result.code).toBe(69);
    expect(result.stderr).toContain("the connection was refused. (connection-failed)");
  });

  it("ends quietly when the reader of a pipe has gone", async () => {
    await home.signIn(server.url);
    serveRunThatEnds("succeeded", ...Array.from({ length: 5_000 }, () => "x".repeat(200)));
    const child = home.start(["logs", ids.run, "-f"]);
    const stdout = child.stdout;
    if (!stdout) throw new Error("the child has a stdout");
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    await once(stdout, "data");
    stdout.destroy();
    const [code] = await once(child, "close");
    expect([code, stderr]).toEqual([0, ""]);
  });
});
