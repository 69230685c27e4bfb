import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  activeProvisionersReplySchema,
  type ProvisionerToken,
  provisionerTokenSchema,
  type RunnerInstance,
  runnerInstanceDetailSchema,
  runnerInstanceSchema,
} from "@shipfox/shared/api/provisioners";
import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ids, membership } from "../../testing/fixtures.ts";
import { CliHome } from "../../testing/run-cli.ts";

const AT = "2026-07-06T10:00:00.000Z";
const BASE = `/workspaces/${ids.workspace}`;
const RAW_TOKEN = `sf_pt_${"x".repeat(43)}`;

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  await home.signIn(server.url);
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function instance(fields: Partial<RunnerInstance> = {}): RunnerInstance {
  return runnerInstanceSchema.parse({
    id: newId(),
    workspace_id: ids.workspace,
    provisioner_id: newId(),
    template_key: "small",
    provider_kind: "ec2",
    provider_runner_id: "i-1",
    labels: ["linux", "x64"],
    state: "running",
    reason: null,
    terminate_reason: null,
    runner_id: null,
    claimed: false,
    registers_until: null,
    registered_at: null,
    reported_at: null,
    created_at: AT,
    ended_at: null,
    ...fields,
  });
}

function token(fields: Partial<ProvisionerToken> = {}): ProvisionerToken {
  return provisionerTokenSchema.parse({
    id: newId(),
    workspace_id: ids.workspace,
    prefix: "sf_pt_abcdef",
    name: "aws",
    scope: "workspace",
    expires_at: null,
    revoked_at: null,
    created_by_user_id: ids.user,
    revoked_by_user_id: null,
    last_seen_at: null,
    created_at: AT,
    updated_at: AT,
    ...fields,
  });
}

describe("shipfox provisioners list", () => {
  it("shows each template, and what keeps one from starting anything", async () => {
    const slots = { labels: ["linux"], capabilities: [], starting: 1, running: 2 };
    const fault = { kind: "circuit_open", message: "5 boots failed", next_try_at: AT };
    const reply = activeProvisionersReplySchema.parse({
      provisioners: [
        {
          id: newId(),
          name: "aws",
          prefix: "sf_pt_abcdef",
          last_seen_at: AT,
          host: "ops-1",
          templates: [
            { ...slots, template_key: "small", available_slots: 7 },
            { ...slots, template_key: "large", available_slots: 0, fault },
          ],
        },
      ],
    });
    server.on(`GET ${BASE}/provisioners/active`, { body: reply });
    const { code, stdout } = await home.run(["provisioners", "list"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/aws +ops-1 .* small +linux +7 +1 +2\n/);
    expect(stdout).toContain("large starts nothing: 5 boots failed; next try 2026-07-06 10:00:00 UTC");
    expect(JSON.parse((await home.run(["provisioners", "list", "--json"])).stdout)).toEqual(reply);
  });

  it("says what to do where none called", async () => {
    server.on(`GET ${BASE}/provisioners/active`, { body: { provisioners: [] } });
    const { stdout } = await home.run(["provisioners", "list"]);
    expect(stdout).toContain("next: shipfox provisioners tokens create <name>");
  });
});

describe("shipfox provisioners instances", () => {
  it("lists those of one provisioner that have not ended", async () => {
    const aws = token();
    const rows = [
      instance({ claimed: true }),
      instance({ provider_runner_id: null, terminate_reason: "boot_timeout" }),
    ];
    server.on(`GET ${BASE}/provisioners/tokens`, { body: { tokens: [aws, token({ revoked_at: AT })] } });
    server.on(`GET ${BASE}/runner-instances`, { body: { runner_instances: rows, next_cursor: null } });
    const args = ["provisioners", "instances", "list", "--open", "--provisioner", "aws"];
    const { code, stdout } = await home.run(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/running, busy +small +i-1 /);
    expect(stdout).toMatch(/running +small +- +boot timeout/);
    const query = server.seen(`GET ${BASE}/runner-instances`)[0]?.query;
    expect([query?.get("open"), query?.get("provisioner_id")]).toEqual(["true", aws.id]);
  });

  it("shows the history and the console of one that is called as its machine, without control characters", async () => {
    const ended = instance({ ended_at: AT, state: "failed" });
    const open = instance();
    const detail = runnerInstanceDetailSchema.parse({
      ...open,
      console_tail: "booting\n\u001b[31mkernel panic\u0007\n",
      history: [
        { state: "planned", reason: null, at: AT },
        { state: "failed", reason: "no capacity", at: AT },
      ],
    });
    server.on(`GET ${BASE}/runner-instances`, { body: { runner_instances: [ended, open], next_cursor: null } });
    server.on(`GET ${BASE}/runner-instances/${open.id}`, { body: detail });
    const { code, stdout } = await home.run(["provisioners", "instances", "view", "i-1"]);
    expect(code).toBe(0);
    expect(stdout).toContain("2026-07-06 10:00:00  failed: no capacity");
    expect(stdout).toContain("  booting\n  kernel panic\n");
    expect(stdout).toContain("next: shipfox provisioners instances drain i-1");
    expect(JSON.parse((await home.run(["provisioners", "instances", "view", open.id, "--json"])).stdout)).toEqual(
      detail,
    );
  });

  it("drains one that has its job, and terminates one, saying what comes next", async () => {
    const one = instance({ claimed: true });
    const doomed = instance({ id: one.id, terminate_reason: "terminated_by_user" });
    server.on(`POST ${BASE}/runner-instances/${one.id}/drain`, { body: one });
    server.on(`POST ${BASE}/runner-instances/${one.id}/terminate`, { body: doomed });
    const drained = await home.run(["provisioners", "instances", "drain", one.id]);
    expect(drained.stdout).toContain("i-1 is drained: it finishes its job, then its provisioner removes it.");
    const terminated = await home.run(["provisioners", "instances", "terminate", one.id]);
    expect(terminated.stdout).toContain("i-1 is terminated: its provisioner removes it.");
    expect(terminated.stdout).toContain(`next: shipfox provisioners instances view ${one.id}`);
  });

  it("says where to look for one that is not there, with 64", async () => {
    server.on(`GET ${BASE}/runner-instances`, { body: { runner_instances: [], next_cursor: null } });
    const { code, stderr } = await home.run(["provisioners", "instances", "drain", "i-2"]);
    expect(code).toBe(64);
    expect(stderr).toContain("next: shipfox provisioners instances list");
  });
});

describe("shipfox provisioners tokens", () => {
  it("makes a token that it prints, or writes where only its owner reads it", async () => {
    server.on(`POST ${BASE}/provisioners/tokens`, { status: 201, body: { ...token(), raw_token: RAW_TOKEN } });
    const printed = await home.run(["provisioners", "tokens", "create", "aws", "--ttl", "30d"]);
    expect(printed).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`^${RAW_TOKEN}\n`)) });
    expect(server.seen(`POST ${BASE}/provisioners/tokens`)[0]?.body).toEqual({ name: "aws", ttl_seconds: 2_592_000 });
    const written = await home.run(["provisioners", "tokens", "create", "aws", "--token-file", "t", "--json"]);
    expect(JSON.parse(written.stdout)).toMatchObject({ name: "aws" });
    expect(written.stdout).not.toContain(RAW_TOKEN);
    const file = join(home.directory, "t");
    expect(await readFile(file, "utf8")).toBe(`${RAW_TOKEN}\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("lists them, and revokes the one of a name that is not revoked yet", async () => {
    const good = token();
    const tokens = [token({ revoked_at: AT }), good, token({ name: "old", expires_at: AT })];
    server.on(`GET ${BASE}/provisioners/tokens`, { body: { tokens } });
    server.on(`POST ${BASE}/provisioners/tokens/${good.id}/revoke`, { body: { ...good, revoked_at: AT } });
    const { stdout } = await home.run(["provisioners", "tokens", "list"]);
    expect(stdout).toMatch(/aws .*revoked[\s\S]*aws .*good[\s\S]*old .*expired/);
    const revoked = await home.run(["provisioners", "tokens", "revoke", "aws"]);
    expect(revoked).toMatchObject({ code: 0, stdout: expect.stringContaining("✓ aws is revoked") });
    expect((await home.run(["provisioners", "tokens", "revoke", "gcp"])).code).toBe(64);
  });
});
