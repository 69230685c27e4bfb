import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { ControlPlaneClient } from "./client.ts";
import { StandInPlane } from "./stand-in-plane.fixture.ts";

const NEVER = new AbortController().signal;
const STEP = "11111111-1111-7111-8111-111111111111";

let plane: StandInPlane;
let client: ControlPlaneClient;

beforeEach(async () => {
  plane = new StandInPlane();
  await plane.start();
  client = new ControlPlaneClient({ baseUrl: `${plane.url}/base`, callMarginMs: 200 });
});

afterEach(async () => {
  client.close();
  await plane.stop();
});

describe("ControlPlaneClient", () => {
  it("repeats what is safe to repeat until it is answered, keeping the base path and the token", async () => {
    let calls = 0;
    plane.on(/^POST \/base\/runs\/jobs\/current\/steps\/next$/, () => {
      calls += 1;
      if (calls === 1) return "drop";
      if (calls === 2) return { status: 429, json: { code: "rate-limited" }, headers: { "retry-after": "0" } };
      return { status: 200, json: { kind: "done", status: "succeeded" } };
    });
    expect(await client.nextStep("lease", NEVER)).toEqual({ kind: "done", status: "succeeded" });
    expect(plane.requests.map((request) => request.token)).toEqual(["lease", "lease", "lease"]);
  });

  it("gives a refusal on with its code, details and Retry-After", async () => {
    plane.on(/next$/, () => ({
      status: 404,
      json: { code: "lease-not-active", message: "gone", details: { reason: "superseded" } },
      headers: { "retry-after": "3" },
    }));
    const error = await client.nextStep("lease", NEVER).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({
      status: 404,
      code: "lease-not-active",
      details: { reason: "superseded" },
      retryAfterMs: 3_000,
    });
  });

  it("stops repeating when it is aborted", async () => {
    const abort = new AbortController();
    plane.on(/next$/, () => {
      abort.abort();
      return { status: 503 };
    });
    await expect(client.nextStep("lease", abort.signal)).rejects.toThrow(/given up|HTTP 503/);
    expect(plane.requests).toHaveLength(1);
  });

  it("does not wait for ever for a plane that is silent", async () => {
    plane.on(/logs$/, async (request) => {
      await request.gone;
      return "drop" as const;
    });
    const append = client.appendLog({
      stepId: STEP,
      attempt: 1,
      leaseToken: "lease",
      offset: 0,
      records: Buffer.from("{}\n"),
    });
    await expect(append).rejects.toThrow(/no answer within 200 ms/);
  });

  it.each([
    ["an empty answer", undefined, /is not JSON/],
    ["another shape", { committed: 1 }, /not understood: committed_length/],
  ])("treats %s as no answer", async (_what, body, message) => {
    plane.on(/logs$/, () => ({ status: 200, json: body }));
    const error = await client
      .appendLog({ stepId: STEP, attempt: 1, leaseToken: "lease", offset: 0, records: Buffer.from("{}\n") })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UnreachableError);
    expect(String(error)).toMatch(message);
  });

  it("names the address of a plane that is not there", async () => {
    await plane.stop();
    await expect(client.endSession("session", NEVER)).rejects.toThrow(
      /http:\/\/127\.0\.0\.1:\d+ could not be reached: .*ECONNREFUSED/,
    );
    await plane.start();
  });

  it("cuts an error message to the length that the plane takes", async () => {
    plane.on(/report$/, () => ({ status: 200, json: { ok: true, cancel: false } }));
    await client.report(
      STEP,
      "lease",
      { status: "failed", log_outcome: "drained", error: { message: "x".repeat(5_000) } },
      NEVER,
    );
    expect(JSON.parse(plane.requests[0]?.body.toString() ?? "").error.message).toHaveLength(2_048);
  });
});
