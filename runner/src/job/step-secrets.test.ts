import type { SecretBinding } from "@shipfox/shared/machine";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ControlPlaneClient } from "../control-plane/client.ts";
import { type PlaneAnswer, StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import { Masker, MAX_SECRET_CHARS } from "../logs/masking.ts";
import { fetchStepSecrets, type SecretsContext } from "./step-secrets.ts";
import { StopSwitch } from "./stop.ts";

const STEP = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";
const ROUTE = new RegExp(`^GET /runs/jobs/current/steps/${STEP}/secrets$`);
const BINDINGS: SecretBinding[] = [
  {
    target: "AUTH",
    segments: [
      { kind: "literal", value: "Bearer " },
      { kind: "secret", store: "local", key: "TOKEN" },
      { kind: "literal", value: ":" },
      { kind: "secret", store: "local", key: "OTHER" },
    ],
  },
  { target: "__sf_0", segments: [{ kind: "secret", store: "local", key: "TOKEN" }] },
];
const given = (TOKEN: string, OTHER = "other-secret"): PlaneAnswer => ({
  status: 200,
  json: { secrets: Object.entries({ TOKEN, OTHER }).map(([key, value]) => ({ store: "local", key, value })) },
});

let plane: StandInPlane;
let client: ControlPlaneClient;
beforeEach(async () => {
  plane = new StandInPlane();
  await plane.start();
  client = new ControlPlaneClient({ baseUrl: plane.url });
});
afterEach(async () => {
  client.close();
  await plane.stop();
});

function contextOf(): SecretsContext & { lines: string[] } {
  const lines: string[] = [];
  const log = { line: (text: string) => void lines.push(text) };
  const masker = new Masker();
  const stop = new StopSwitch();
  return { client, attempt: 2, masker, stop, step: { id: STEP }, lease: { token: "lease" }, log, lines };
}

function answerWith(...answers: PlaneAnswer[]): void {
  plane.on(ROUTE, () => answers.shift() ?? { status: 404, json: { code: "not-found" } });
}

it("puts the variables together, and hides the values from then on", async () => {
  answerWith(given("the-token"));
  const context = contextOf();
  expect(await fetchStepSecrets(context, BINDINGS)).toEqual({
    kind: "env",
    env: { AUTH: "Bearer the-token:other-secret", __sf_0: "the-token" },
  });
  expect(context.masker.mask("the-token and other-secret")).toBe("*** and ***");
  const [request] = plane.requests;
  expect([request?.token, request?.query.get("attempt")]).toEqual(["lease", "2"]);
});

it("asks for nothing when nothing is named", async () => {
  expect(await fetchStepSecrets(contextOf(), [])).toEqual({ kind: "env", env: {} });
  expect(plane.requests).toEqual([]);
});

it("asks again when the control plane did not answer or has a passing fault", async () => {
  answerWith("drop", { status: 503, json: { code: "overloaded", message: "busy" } }, given("the-token"));
  expect(await fetchStepSecrets(contextOf(), BINDINGS)).toMatchObject({ kind: "env" });
  expect(plane.requests).toHaveLength(3);
});

it("fails the step when a secret is missing, with the variable and what it reads", async () => {
  answerWith({ status: 422, json: { code: "secret-not-found", message: "no OTHER", details: { key: "OTHER" } } });
  const context = contextOf();
  const message = "The secrets of the step could not be read: no OTHER (HTTP 422)";
  expect(await fetchStepSecrets(context, BINDINGS)).toEqual({
    kind: "result",
    result: {
      kind: "report",
      report: {
        status: "failed",
        exit_code: null,
        error: { message, reason: "config_unresolvable", field: "env.AUTH", source: "secrets.OTHER" },
      },
    },
  });
  expect(context.lines).toEqual([`Error: ${message}`]);
});

it.each([
  ["does not give all of them", { status: 200, json: { secrets: [] } }, /did not give the secret TOKEN/],
  ["gives more than can be hidden", given("x".repeat(MAX_SECRET_CHARS)), /too many to hide/],
] as const)("fails the step when the control plane %s", async (_what, answer, message) => {
  answerWith(answer);
  expect(await fetchStepSecrets(contextOf(), BINDINGS)).toMatchObject({
    result: { report: { error: { reason: "config_unresolvable", message: expect.stringMatching(message) } } },
  });
});

it("loses the job when the lease has ended", async () => {
  answerWith({ status: 404, json: { code: "lease-not-active", message: "superseded" } });
  const context = contextOf();
  expect(await fetchStepSecrets(context, BINDINGS)).toEqual({ kind: "result", result: { kind: "stopped" } });
  expect(context.stop.stop).toMatchObject({ kind: "lost" });
});
