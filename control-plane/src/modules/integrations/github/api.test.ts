import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { type GitHubCall, GitHubApi } from "./api.ts";

const anything = z.object({ ok: z.boolean() });
const GET = { method: "GET", path: "/thing?page=2", token: "secret-token" } as const;

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const api = new GitHubApi(url);
  return { url, api, call: (call: GitHubCall = GET) => api.call(call, anything) };
}

const OK = '{"ok":true,"more":1}';

it("sends the credential and the version of the API, and takes of the answer what it knows", async () => {
  let seen: unknown;
  const { call } = await serve((request, response) => {
    seen = [request.url, request.headers.authorization, request.headers["x-github-api-version"]];
    response.end(OK);
  });
  expect(await call()).toEqual({ ok: true });
  expect(seen).toEqual(["/thing?page=2", "Bearer secret-token", "2022-11-28"]);
});

it("tries again when GitHub fails, and not when it refuses", async () => {
  const answers = [502, 500, 200, 502, 200, 422, 200];
  const { call } = await serve((_, response) => {
    const status = answers.shift() ?? 200;
    response.writeHead(status).end(status === 200 ? OK : "{}");
  });
  expect(await call()).toEqual({ ok: true });
  await expect(call({ ...GET, method: "POST", repeatable: false })).rejects.toMatchObject({
    code: "provider-unavailable",
  });
  expect(await call()).toEqual({ ok: true });
  await expect(call()).rejects.toMatchObject({ code: "provider-rejected" });
  expect(answers).toEqual([200]);
});

it("gives up after three tries", async () => {
  let tries = 0;
  const { call } = await serve((_, response) => {
    tries += 1;
    response.writeHead(503).end();
  });
  await expect(call()).rejects.toMatchObject({ code: "provider-unavailable" });
  expect(tries).toBe(3);
});

it.each([
  [429, { "retry-after": "30" }, "", 30],
  [403, { "retry-after": "61" }, "", 61],
  [403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1" }, "", 1],
  [403, {}, '{"message":"You have exceeded a secondary rate limit"}', 60],
  [429, {}, "", 60],
])("understands %i %j %s as a limit of %i seconds", async (status, headers, text, seconds) => {
  const { call } = await serve((_, response) => response.writeHead(status, headers).end(text));
  await expect(call()).rejects.toMatchObject({ code: "rate-limited", details: { retry_after_seconds: seconds } });
});

it("waits when it is asked to for a moment only", async () => {
  const statuses = [429, 200];
  const { call } = await serve((_, response) =>
    response.writeHead(statuses.shift() ?? 200, { "retry-after": "1" }).end(OK),
  );
  expect(await call()).toEqual({ ok: true });
});

it("follows a redirect on the same host, and takes the credential to no other", async () => {
  const stolen: unknown[] = [];
  const thief = await serve((request, response) => {
    stolen.push(request.headers.authorization);
    response.end(OK);
  });
  const { call } = await serve((request, response) => {
    const target = { "/thing?page=2": "/repositories/7", "/away": `${thief.url}/thing`, "/loop": "/loop" }[
      request.url ?? ""
    ];
    if (target === undefined) response.end(OK);
    else response.writeHead(307, { location: target }).end();
  });
  expect(await call()).toEqual({ ok: true });
  await expect(call({ ...GET, path: "/away" })).rejects.toMatchObject({ code: "malformed-provider-response" });
  await expect(call({ ...GET, path: "/loop" })).rejects.toMatchObject({ code: "malformed-provider-response" });
  expect(stolen).toEqual([]);
});

it.each([
  ["no JSON", "<html>"],
  ["another shape", '{"ok":"yes"}'],
  ["nothing", ""],
  ["too much", " ".repeat(9 * 1024 * 1024)],
])("does not understand %s", async (_, text) => {
  const { call } = await serve((__, response) => response.end(text));
  await expect(call()).rejects.toMatchObject({ code: "malformed-provider-response" });
});

it("says what GitHub said, without control characters, and never the credential", async () => {
  const { call } = await serve((_, response) => response.writeHead(401).end('{"message":"Bad\\ncredentials"}'));
  await expect(call()).rejects.toMatchObject({
    code: "access-denied",
    message: "GitHub refused the app (401): Bad credentials",
  });
});

it("ends what runs when the server stops", async () => {
  const { api, call } = await serve(() => api.close());
  await expect(call()).rejects.toMatchObject({ code: "shutting-down" });
  await expect(call()).rejects.toMatchObject({ code: "shutting-down" });
});
