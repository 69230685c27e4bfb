import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ApiFailure, ConnectionFailure, HttpTransport, isTransient } from "./http-transport.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

const schema = z.object({ ok: z.boolean() });
const request = { method: "GET", path: "/thing" } as const;

describe("the transport", () => {
  it("hands on the server's code, message, details and Retry-After", async () => {
    await using server = await StandInServer.start();
    const body = { code: "rate-limited", message: "Too many requests.", details: { retry_after_seconds: 7 } };
    server.on("GET /thing", { status: 429, body, headers: { "retry-after": "7" } });
    const failure = await new HttpTransport(server.url).exchange(request, schema).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApiFailure);
    expect(failure).toMatchObject({ ...body, status: 429, retryAfterMs: 7_000 });
    expect(isTransient(failure)).toBe(true);
  });

  it("copes with an error that is not JSON", async () => {
    await using server = await StandInServer.start();
    server.on("GET /thing", (_request, response) => {
      response.writeHead(502).end("<html>bad gateway</html>");
      return undefined;
    });
    await expect(new HttpTransport(server.url).exchange(request, schema)).rejects.toMatchObject({ code: "http-502" });
  });

  it("names the place where a reply does not fit", async () => {
    await using server = await StandInServer.start();
    server.on("GET /thing", { body: { ok: "yes" } });
    await expect(new HttpTransport(server.url).exchange(request, schema)).rejects.toMatchObject({
      code: "unexpected-reply",
      message: expect.stringContaining("at ok"),
    });
  });

  it("does not follow a redirect, which would carry the token away", async () => {
    await using server = await StandInServer.start();
    server.on("GET /thing", { status: 302, headers: { location: "/other" } });
    await expect(new HttpTransport(server.url).exchange(request, schema)).rejects.toThrow(ConnectionFailure);
    expect(server.seen("GET /other")).toHaveLength(0);
  });

  it("stops waiting for a server that does not answer", async () => {
    await using server = await StandInServer.start();
    server.on("GET /thing", () => undefined);
    const failure = new HttpTransport(server.url).exchange({ ...request, timeoutMs: 50 }, schema);
    await expect(failure).rejects.toThrow("it took too long");
  });

  it("says when the port does not speak TLS, and when a thing does not exist", async () => {
    await using server = await StandInServer.start();
    const secure = new HttpTransport(server.url.replace("http:", "https:"));
    await expect(secure.exchange(request, schema)).rejects.toThrow(/does not speak TLS.*write http:/);
    server.on("GET /thing", { status: 404, body: { code: "not-found", message: "there is no such run" } });
    await expect(new HttpTransport(server.url).exchange(request, schema)).rejects.toMatchObject({ exitCode: 64 });
  });

  it("says when nobody listens", async () => {
    const server = await StandInServer.start();
    const { url } = server;
    await server[Symbol.asyncDispose]();
    await expect(new HttpTransport(url).exchange(request, schema)).rejects.toThrow("refused");
  });
});
