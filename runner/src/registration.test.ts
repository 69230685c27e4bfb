import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@shipfox/shared/logger";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlPlaneClient } from "./control-plane/client.ts";
import { type PlaneAnswer, StandInPlane } from "./control-plane/stand-in-plane.fixture.ts";
import { register } from "./registration.ts";
import { StateFolder } from "./state-folder.ts";

const MRT = `sf_mrt_${"a".repeat(43)}`;
const RUNNER_ID = "00000003-0000-7000-8000-000000000001";
const NEVER = new AbortController().signal;

let root: string;
let plane: StandInPlane;
let client: ControlPlaneClient;
let state: StateFolder;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-registration-"));
  plane = new StandInPlane();
  await plane.start();
  client = new ControlPlaneClient({ baseUrl: plane.url });
  state = StateFolder.open(root);
});

afterEach(async () => {
  client.close();
  await plane.stop();
  rmSync(root, { recursive: true, force: true });
});

function answer(...answers: PlaneAnswer[]): void {
  plane.on(/register$/, () => answers.shift() ?? { status: 500 });
}

const accepted = (runnerToken?: string): PlaneAnswer => ({
  status: 200,
  json: {
    session_token: "session",
    session_id: RUNNER_ID,
    mode: "manual",
    max_claims: null,
    runner_id: RUNNER_ID,
    ...(runnerToken ? { runner_token: runnerToken } : {}),
  },
});
const refused = (status: number, code: string): PlaneAnswer => ({ status, json: { code, message: code } });
const tokens = () => plane.requests.map((request) => request.token);

function registerNow(token: string | null = MRT) {
  const registrationToken = token ?? undefined;
  const logger = createLogger("test", "silent");
  return register(
    {
      client,
      state,
      apiUrl: plane.url,
      registrationToken,
      labels: ["linux"],
      name: "r1",
      capabilities: { sandbox: "host" },
      logger,
    },
    NEVER,
  );
}

describe("register", () => {
  it("keeps the runner's credential in a 0600 file and uses it from then on, each time the newest", async () => {
    answer(accepted("sf_rt_one"), accepted("sf_rt_two"), accepted("sf_rt_three"));
    await registerNow();
    expect(statSync(join(root, "credential.json")).mode & 0o777).toBe(0o600);
    await registerNow(null);
    await registerNow(null);
    expect(tokens()).toEqual([MRT, "sf_rt_one", "sf_rt_two"]);
    expect(readFileSync(join(root, "credential.json"), "utf8")).toContain("sf_rt_three");
    expect(JSON.parse(plane.requests[0]?.body.toString() ?? "")).toEqual({
      labels: ["linux"],
      name: "r1",
      persistent: true,
      capabilities: { sandbox: "host" },
    });
  });

  it("goes on through outages with one key", async () => {
    answer("drop", refused(503, "overloaded"), accepted("sf_rt_one"));
    expect(await registerNow()).toMatchObject({ sessionToken: "session", runnerId: RUNNER_ID });
    expect(new Set(plane.requests.map((request) => request.idempotencyKey)).size).toBe(1);
  });

  it("works with a control plane that gives no credential", async () => {
    answer(accepted(), accepted());
    await registerNow();
    await registerNow();
    expect(tokens()).toEqual([MRT, MRT]);
  });

  it("works with a control plane of the published protocol, which names no runner", async () => {
    answer({
      status: 200,
      json: { session_token: "session", session_id: RUNNER_ID, mode: "manual", max_claims: null },
    });
    expect(await registerNow()).toMatchObject({ sessionToken: "session", runnerId: RUNNER_ID });
  });

  it("registers anew when the control plane does not know the credential any more", async () => {
    answer(accepted("sf_rt_one"), refused(401, "unauthorized"), accepted("sf_rt_two"));
    await registerNow();
    await registerNow();
    expect(tokens()).toEqual([MRT, "sf_rt_one", MRT]);
  });

  it.each([
    ["the credential was copied", 409, "runner-credential-reused", 78, /another runner uses a copy/],
    ["the runner was revoked", 401, "runner-revoked", 78, /was revoked/],
    ["its version is not served", 409, "runner-version-unsupported", 78, /refused this runner/],
  ])("stops when %s, also with a registration token at hand", async (_why, status, code, exitCode, message) => {
    answer(accepted("sf_rt_one"), refused(status, code));
    await registerNow();
    await expect(registerNow()).rejects.toMatchObject({ exitCode, message: expect.stringMatching(message) });
  });

  it.each([
    ["an unknown token", 401, "unauthorized", /refused the registration token/],
    ["an expired token", 401, "registration-token-expired", /shipfox runners add/],
    ["a used-up token", 409, "registration-token-exhausted", /shipfox runners add/],
    ["another server", 404, "", /SHIPFOX_API_URL/],
    ["a wrong label", 400, "validation-error", /refused the registration/],
  ])("stops at %s and says what to do", async (_what, status, code, message) => {
    answer(refused(status, code));
    await expect(registerNow()).rejects.toMatchObject({ exitCode: 78, message: expect.stringMatching(message) });
    expect(plane.requests).toHaveLength(1);
  });

  it("says how to get a token when there is neither credential nor token", async () => {
    await expect(registerNow(null)).rejects.toThrow(/Make a registration token/);
    expect(plane.requests).toEqual([]);
  });
});

describe("StateFolder", () => {
  it("belongs to one runner at a time, and outlives a killed one", () => {
    writeFileSync(join(root, "lock"), `${process.ppid} 1`);
    expect(() => StateFolder.open(root)).not.toThrow();
    const stat = readFileSync("/proc/1/stat", "utf8");
    writeFileSync(join(root, "lock"), `1 ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`);
    expect(() => StateFolder.open(root)).toThrow(/Another runner \(process 1\)/);
  });

  it("refuses a damaged credential in words", () => {
    writeFileSync(join(root, "credential.json"), "{");
    expect(() => state.readCredential(plane.url)).toThrow(/damaged/);
  });

  it("keeps the credential of one control plane from another", () => {
    state.writeCredential({ api_url: "http://one", runner_id: "x", runner_token: "sf_rt_x" });
    expect(state.readCredential("http://two")).toBeNull();
  });
});

describe("register with the token of one machine", () => {
  const ERT = `sf_ert_${"b".repeat(43)}`;
  const once: PlaneAnswer = {
    status: 200,
    json: {
      session_token: "session",
      session_id: RUNNER_ID,
      mode: "ephemeral",
      max_claims: 1,
      runner_id: RUNNER_ID,
    },
  };

  it("keeps no credential, and repeats with one key, also from another process", async () => {
    answer({ status: 503, json: { code: "unavailable" } }, once, once);
    expect(await registerNow(ERT)).toMatchObject({ sessionId: RUNNER_ID, maxClaims: 1 });
    state.close();
    state = StateFolder.open(root);
    await registerNow(ERT);
    expect(tokens()).toEqual([ERT, ERT, ERT]);
    expect(new Set(plane.requests.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(JSON.parse(plane.requests[0]?.body.toString() ?? "")).toMatchObject({ persistent: false });
    expect(state.readCredential(plane.url)).toBeNull();
  });

  it("says that the token was used, or that a label is not the template's", async () => {
    answer(refused(401, "registration-token-used"), refused(403, "labels-not-granted"));
    await expect(registerNow(ERT)).rejects.toThrow(/good for one machine and one job/);
    await expect(registerNow(ERT)).rejects.toThrow(/SHIPFOX_RUNNER_LABELS/);
  });
});
