import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { createRegistrationTokenReplySchema } from "@shipfox/shared/api/runners";
import { registerReplySchema } from "@shipfox/shared/machine";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

type Claims = Record<string, unknown>;

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (part: string | undefined) => JSON.parse(Buffer.from(part ?? "", "base64url").toString()) as Claims;
const hs256 = (header: Claims, claims: Claims, key: string | Buffer) => {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
};

describe("forged tokens", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let userToken: string;
  let sessionToken: string;
  let registrationToken: string;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    userToken = instance.api.token ?? "";
    const tokens = `/workspaces/${instance.workspaceId}/runners/manual-registration-tokens`;
    registrationToken = (await instance.api.post(createRegistrationTokenReplySchema, tokens, {})).raw_token;
    const { body } = await call(plane.url, "POST", "/runners/register", {
      token: registrationToken,
      body: { labels: ["linux"] },
    });
    sessionToken = registerReplySchema.parse(body).session_token;
  });

  const asUser = async (token: string) => (await call(plane.url, "GET", "/workspaces", { token })).status;
  const asRunner = async (token: string) =>
    (await call(plane.url, "POST", "/runners/jobs/request", { token, headers: { "content-length": "0" } })).status;

  it(`${attack(20, "of a user")}`, async () => {
    expect(await asUser(userToken)).toBe(200);
    const [head = "", body = "", signature = ""] = userToken.split(".");
    const claims = decode(body);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const rsText = `${encode({ alg: "RS256", typ: "JWT" })}.${body}`;
    const flipped = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
    const forged = {
      "no algorithm": `${encode({ alg: "none", typ: "JWT" })}.${body}.`,
      "no algorithm, with the signature": `${encode({ alg: "none" })}.${body}.${signature}`,
      "no algorithm, spelled otherwise": `${encode({ alg: "nOnE" })}.${body}.`,
      "an empty key": hs256({ alg: "HS256" }, claims, ""),
      "another key": hs256({ alg: "HS256" }, claims, Buffer.alloc(32, 1)),
      "a key that the token names": hs256({ alg: "HS256", jwk: { kty: "oct", k: "AA" }, kid: "/dev/null" }, claims, ""),
      "an RSA signature": `${rsText}.${sign("sha256", Buffer.from(rsText), privateKey).toString("base64url")}`,
      "an RSA key as the secret": hs256({ alg: "HS256" }, claims, publicKey.export({ type: "spki", format: "pem" })),
      "a longer life": `${head}.${encode({ ...claims, exp: Number(claims["exp"]) + 3_600 })}.${signature}`,
      "another user": `${head}.${encode({ ...claims, sub: instance.workspaceId })}.${signature}`,
      "another signature": `${head}.${body}.${flipped}`,
      "a piece of the signature": userToken.slice(0, -4),
      "no signature": `${head}.${body}`,
      "a longer signature": `${userToken}A`,
      "a runner's session": sessionToken,
      "a registration token": registrationToken,
      "a personal access token of nobody": `sf_pat_${"A".repeat(43)}`,
      nothing: "x",
    };
    for (const [what, token] of Object.entries(forged)) expect([what, await asUser(token)]).toEqual([what, 401]);
  });

  it(`${attack(20, "of a runner")}`, async () => {
    const [head = "", body = "", signature = ""] = sessionToken.split(".");
    const claims = decode(body);
    const forged = {
      "a user's": userToken,
      "a registration token": registrationToken,
      "no algorithm": `${encode({ alg: "none", typ: "JWT" })}.${body}.`,
      "another purpose": `${head}.${encode({ ...claims, aud: "runner-job-lease" })}.${signature}`,
      "another workspace": `${head}.${encode({ ...claims, workspaceId: instance.connectionId })}.${signature}`,
      "another key": hs256({ alg: "HS256" }, claims, Buffer.alloc(32)),
      "a piece": sessionToken.slice(0, -1),
    };
    for (const [what, token] of Object.entries(forged)) expect([what, await asRunner(token)]).toEqual([what, 401]);
    expect(await asRunner(sessionToken)).toBe(204);
    // A session is no lease.
    const lease = await call(plane.url, "POST", "/runs/jobs/current/steps/next", { token: sessionToken });
    expect(lease.status).toBe(401);
  });
});
