import { createHmac, generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import { readConfig } from "../../../config.ts";
import { TEST_ROOT_KEY } from "../../../testing/api.ts";
import { readDelivery } from "./delivery.ts";
import { githubSettings } from "./settings.ts";

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const PEM = RSA.export({ type: "pkcs1", format: "pem" }).toString();
const WHOLE = {
  SHIPFOX_GITHUB_APP_ID: "1",
  SHIPFOX_GITHUB_APP_SLUG: "shipfox",
  SHIPFOX_GITHUB_PRIVATE_KEY: PEM,
  SHIPFOX_GITHUB_WEBHOOK_SECRET: "secret",
  SHIPFOX_GITHUB_CLIENT_ID: "id",
  SHIPFOX_GITHUB_CLIENT_SECRET: "secret",
};
const read = (env: Record<string, string>) => githubSettings(readConfig(env), TEST_ROOT_KEY);

it("is off without settings, and on with all of them", () => {
  expect(read({})).toBeNull();
  expect(read(WHOLE)).toMatchObject({
    appId: "1",
    apiUrl: "https://api.github.com",
    webUrl: "https://github.com",
    appUrl: "https://github.com/apps/shipfox",
  });
  const server = {
    SHIPFOX_GITHUB_API_URL: "https://ghe.example/api/v3/",
    SHIPFOX_GITHUB_WEB_URL: "https://ghe.example/",
  };
  expect(read({ ...WHOLE, ...server })).toMatchObject({
    apiUrl: "https://ghe.example/api/v3",
    appUrl: "https://ghe.example/github-apps/shipfox",
  });
});

it("takes deliveries with the webhook secret, and with the one before it", () => {
  const secrets = read({ ...WHOLE, SHIPFOX_GITHUB_PREVIOUS_WEBHOOK_SECRET: "old" })?.webhookSecrets ?? [];
  for (const secret of ["secret", "old"]) {
    const signature = `sha256=${createHmac("sha256", secret).update("{}").digest("hex")}`;
    const headers: Record<string, string> = {
      "x-github-event": "ping",
      "x-github-delivery": "1",
      "x-hub-signature-256": signature,
    };
    expect(readDelivery((name) => headers[name], Buffer.from("{}"), secrets)).toMatchObject({ id: "1", event: "ping" });
    expect(() => readDelivery((name) => headers[name], Buffer.from("{} "), secrets)).toThrow("signature");
  }
});

it("takes a key whose lines were joined, and one in the other form", () => {
  for (const key of [PEM.replaceAll("\n", "\\n"), RSA.export({ type: "pkcs8", format: "pem" }).toString()])
    expect(read({ ...WHOLE, SHIPFOX_GITHUB_PRIVATE_KEY: key })?.privateKey.equals(RSA)).toBe(true);
});

it("names what is missing, or what is no key, without showing a secret", () => {
  const { SHIPFOX_GITHUB_CLIENT_ID: _, ...part } = WHOLE;
  expect(() => read(part)).toThrow("SHIPFOX_GITHUB_CLIENT_ID");
  expect(() => read({ SHIPFOX_GITHUB_APP_ID: "1" })).toThrow(/SHIPFOX_GITHUB_APP_SLUG.*SHIPFOX_GITHUB_CLIENT_SECRET/);
  const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  for (const key of ["nonsense-key", elliptic.export({ type: "pkcs8", format: "pem" }).toString()]) {
    const wrong = () => read({ ...WHOLE, SHIPFOX_GITHUB_PRIVATE_KEY: key });
    expect(wrong).toThrow("SHIPFOX_GITHUB_PRIVATE_KEY is no RSA private key");
    expect(wrong).not.toThrow(key.slice(0, 12));
  }
});
