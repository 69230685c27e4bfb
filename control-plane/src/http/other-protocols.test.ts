import { request } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";

describe("a client that offers to go on in another protocol", () => {
  let app: ServedApp;
  beforeAll(async () => {
    app = await serveApp();
  });
  afterAll(() => app.close());

  it.each(["h2c", "TLS/1.2", "h2c, websocket"])("is answered as if it had not offered %s", async (upgrade) => {
    const headers = { connection: "Upgrade, HTTP2-Settings", "http2-settings": "AAMAAABkAAQAoAAAAAIAAAAA", upgrade };
    expect(await get(`${app.url}/healthz`, headers)).toMatchObject({ status: 200, body: { status: "ok" } });
  });
});

function get(url: string, headers: Record<string, string>): Promise<{ status: number | undefined; body: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { headers, agent: false });
    call.on("response", (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body: JSON.parse(body || "null") }), reject);
    });
    call.on("error", reject);
    call.end();
  });
}
