import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NameServer, serveNames } from "./name-server.fixture.ts";
import { type OutgoingRequest, requestOnce } from "./request-once.ts";
import { type Receiver, serveReceiver } from "@shipfox/shared/receiver.fixture";
import { createResolver, type ResolveHost } from "./resolve-host.ts";

const PUBLIC = "8.8.8.8";
const TIMEOUT_MS = 2_000;

describe("a request to a place that a user chose", () => {
  let inside: Receiver;
  let names: NameServer;
  let resolve: ResolveHost;
  let answers: Record<string, string[][]>;

  beforeEach(async () => {
    inside = await serveReceiver((_request, response) => response.end("inside"));
    answers = {};
    names = await serveNames((name, turn) => answers[name]?.[turn] ?? answers[name]?.at(-1) ?? []);
    resolve = createResolver({ servers: [names.address] });
  });
  afterEach(async () => {
    await inside.close();
    await names.close();
  });

  const post = (url: string, fields: Partial<OutgoingRequest> = {}) =>
    requestOnce(
      {
        method: "POST",
        url: new URL(url),
        headers: { "content-type": "application/json" },
        body: "{}",
        timeoutMs: TIMEOUT_MS,
        maxAnswerBytes: 1_024,
        allowPrivate: false,
        signal: new AbortController().signal,
        ...fields,
      },
      resolve,
    );
  const withPort = (host: string) => `http://${host}:${inside.port}/`;

  it.each([
    ["loopback", "127.0.0.1"],
    ["loopback as a number", "2130706433"],
    ["loopback in hex", "0x7f000001"],
    ["loopback in octal", "0177.0.0.1"],
    ["loopback, short", "127.1"],
    ["the address of nothing", "0.0.0.0"],
    ["IPv6 loopback", "[::1]"],
    ["IPv4 in IPv6", "[::ffff:127.0.0.1]"],
    ["IPv4 in IPv6, in hex", "[::ffff:7f00:1]"],
    ["NAT64", "[64:ff9b::7f00:1]"],
    ["6to4", "[2002:7f00:1::]"],
    ["cloud metadata", "169.254.169.254"],
    ["cloud metadata on IPv6", "[fd00:ec2::254]"],
    ["a carrier's network", "100.64.0.1"],
    ["a private network", "10.1.2.3"],
    ["multicast", "224.0.0.1"],
    ["a name of the hosts file", "localhost"],
    ["the same with a dot", "localhost."],
  ])("is refused when the host is %s", async (_, host) => {
    await expect(post(withPort(host))).rejects.toMatchObject({ failure: "address_refused" });
    expect(inside.received).toEqual([]);
  });

  it("is refused when any address of the name is private", async () => {
    answers["mixed.example"] = [[PUBLIC, "127.0.0.1"]];
    await expect(post(withPort("mixed.example"))).rejects.toMatchObject({ failure: "address_refused" });
    expect(inside.received).toEqual([]);
  });

  it("asks for a name once, so that one which changes its mind meanwhile gains nothing", async () => {
    answers["rebind.example"] = [[PUBLIC], ["127.0.0.1"]];
    // The public address cannot be reached from here, or does not answer: what counts is that nobody inside is asked.
    await expect(post(withPort("rebind.example"), { timeoutMs: 500 })).rejects.toMatchObject({
      failure: expect.stringMatching(/connection_failed|timeout/),
    });
    expect(names.asked.filter((name) => name === "rebind.example")).toHaveLength(2); // one question for each family
    await expect(post(withPort("rebind.example"))).rejects.toMatchObject({ failure: "address_refused" });
    expect(inside.received).toEqual([]);
  });

  it("says that a name has no address, and nothing of what the name server said", async () => {
    await expect(post("https://nowhere.example/")).rejects.toMatchObject({
      failure: "name_unresolved",
      message: "the name nowhere.example has no address",
    });
  });

  it("goes to a private address when that is allowed, by either family", async () => {
    const v6 = await serveReceiver((_request, response) => response.writeHead(201).end("six"), "::1");
    expect(await post(withPort("127.0.0.1"), { allowPrivate: true })).toMatchObject({ status: 200, isPublic: false });
    expect(await post(`${v6.url}/`, { allowPrivate: true })).toMatchObject({ status: 201, isPublic: false });
    answers["inside.example"] = [["127.0.0.1"]];
    const named = await post(withPort("inside.example"), { allowPrivate: true, body: '{"a":1}' });
    expect(named.body.toString()).toBe("inside");
    expect(inside.received.at(-1)).toMatchObject({
      body: '{"a":1}',
      headers: { host: `inside.example:${inside.port}`, "content-type": "application/json" },
    });
    await v6.close();
  });

  it("follows no redirect", async () => {
    const outside = await serveReceiver((_request, response) =>
      response.writeHead(302, { location: `${inside.url}/secret` }).end(),
    );
    expect(await post(`${outside.url}/`, { allowPrivate: true })).toMatchObject({ status: 302 });
    expect(inside.received).toEqual([]);
    await outside.close();
  });

  it("reads no more of an answer than its limit, and waits no longer than its time-out", async () => {
    const endless = await serveReceiver((_request, response) => {
      const write = () => {
        while (response.write(Buffer.alloc(65_536, "x"))) if (response.destroyed) return;
      };
      response.on("drain", write).writeHead(200);
      write();
    });
    expect((await post(`${endless.url}/`, { allowPrivate: true })).body).toHaveLength(1_024);
    await endless.close();

    const silent = await serveReceiver(() => {});
    await expect(post(`${silent.url}/`, { allowPrivate: true, timeoutMs: 300 })).rejects.toMatchObject({
      failure: "timeout",
    });
    await silent.close();

    // The status has been said, so it counts, however long the body dawdles.
    const slow = await serveReceiver((_request, response) => {
      response.writeHead(200).write("begin");
    });
    const answer = await post(`${slow.url}/`, { allowPrivate: true, timeoutMs: 300 });
    expect([answer.status, answer.body.toString()]).toEqual([200, "begin"]);
    await slow.close();
  });

  it("takes nonsense for a failed connection, and no plain server for an encrypted one", async () => {
    const nonsense = createTcpServer((socket) => socket.end("nonsense\r\n\r\n")).listen(0, "127.0.0.1");
    await new Promise((listening) => nonsense.once("listening", listening));
    const { port } = nonsense.address() as { port: number };
    await expect(post(`http://127.0.0.1:${port}/`, { allowPrivate: true })).rejects.toMatchObject({
      failure: "connection_failed",
    });
    nonsense.close();
    await expect(post(`https://127.0.0.1:${inside.port}/`, { allowPrivate: true })).rejects.toMatchObject({
      failure: "tls_failed",
    });
    expect(inside.received).toEqual([]);
  });

  it("sends nothing to a server that proves nothing, by name and by address", async () => {
    const folder = await mkdtemp(join(tmpdir(), "shipfox-tls-"));
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    await execa("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=inside.example".split(
        " ",
      ),
      ..."-addext subjectAltName=DNS:inside.example,IP:127.0.0.1 -keyout".split(" "),
      key,
      "-out",
      certificate,
    ]);
    let requests = 0;
    const server = createHttpsServer({ key: await readFile(key), cert: await readFile(certificate) }, (_, response) => {
      requests += 1;
      response.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    answers["inside.example"] = [["127.0.0.1"]];
    for (const host of ["inside.example", "127.0.0.1"]) {
      await expect(post(`https://${host}:${port}/`, { allowPrivate: true })).rejects.toMatchObject({
        failure: "tls_failed",
      });
    }
    expect(requests).toBe(0);
    server.close();
    await rm(folder, { recursive: true });
  });

  it("ends with its caller", async () => {
    const silent = await serveReceiver(() => {});
    const controller = new AbortController();
    const posted = post(`${silent.url}/`, { allowPrivate: true, signal: controller.signal, timeoutMs: 60_000 });
    await silent.came(1);
    controller.abort(new Error("stop"));
    await expect(posted).rejects.toThrow("stop");
    await silent.close();
  });
});
