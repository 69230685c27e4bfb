import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dockerDriver } from "./docker-driver.ts";

const SOCKET = "/var/run/docker.sock";
const OWNER = { controller: "0197-tls", pool: "main" };

describe("[docker] an engine behind TLS", () => {
  const { signal } = new AbortController();
  let folder: string;
  let server: Server;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "docker-tls-"));
    for (const name of ["ours", "foreign"]) await makeCertificate(name);
    const [key, cert] = [await readFile(join(folder, "ours.key")), await readFile(join(folder, "ours.pem"))];
    // The real engine, with the door that dockerd has with --tlsverify.
    server = createServer({ key, cert, ca: cert, requestCert: true, rejectUnauthorized: true }, (call, response) => {
      const { url: path, method, headers } = call;
      const onward = request({ socketPath: SOCKET, path, method, headers }, (reply) => {
        response.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(response);
      });
      call.pipe(onward);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  async function makeCertificate(name: string): Promise<void> {
    const files = ["-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.pem`)];
    const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
    await execa("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject, ...files]);
  }

  function open(shown: string, trusted: string) {
    const { port } = server.address() as AddressInfo;
    const tls = { ca_file: `${trusted}.pem`, cert_file: `${shown}.pem`, key_file: `${shown}.key` };
    const settings = dockerDriver.settingsSchema.parse({ host: `tcp://127.0.0.1:${port}`, tls });
    return dockerDriver.open(settings, { stateDir: folder, baseDir: folder });
  }

  it("is used with the certificates that the settings name", async () => {
    const provider = await open("ours", "ours");
    expect(await provider.check([], signal)).toEqual([]);
    expect(await provider.list(OWNER, signal)).toEqual([]);
  });

  it.each([
    ["foreign", "ours"],
    ["ours", "foreign"],
  ])("is not talked to when the client shows %s and trusts %s", async (shown, trusted) => {
    const provider = await open(shown, trusted);
    await expect(provider.list(OWNER, signal)).rejects.toMatchObject({ fault: "unavailable" });
  });
});
