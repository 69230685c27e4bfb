import { once } from "node:events";
import { cp } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connect, type PeerCertificate, type SecureVersion, type TLSSocket } from "node:tls";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { Child } from "./src/child.ts";
import { freePort } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { CONTROL_PLANE } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";

describe("a control plane with a certificate", () => {
  const stage = useStage();
  let folder: string;
  let port: number;
  let env: Record<string, string>;
  let plane: Child;

  beforeAll(async () => {
    folder = await stage.folder("tls");
    for (const name of ["first", "second"]) await makeCertificate(name);
    await use("first");
    port = await freePort();
    env = {
      PORT: `${port}`,
      SHIPFOX_DATA_DIR: join(folder, "data"),
      SHIPFOX_TLS_CERT_FILE: join(folder, "cert.pem"),
      SHIPFOX_TLS_KEY_FILE: join(folder, "key.pem"),
    };
    plane = stage.addChild(new Child("control plane", CONTROL_PLANE, [], env));
    await plane.printed(new RegExp(`listens on https://127.0.0.1:${port}`));
  });

  /** Signed by itself, for this machine. */
  const makeCertificate = (name: string) =>
    execa("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30".split(" "),
      ...`-subj /CN=${name} -addext subjectAltName=IP:127.0.0.1`.split(" "),
      "-keyout",
      join(folder, `${name}.key`),
      "-out",
      join(folder, `${name}.pem`),
    ]);
  const use = async (name: string, key = name) => {
    await cp(join(folder, `${name}.pem`), join(folder, "cert.pem"));
    await cp(join(folder, `${key}.key`), join(folder, "key.pem"));
  };

  async function shake(version?: SecureVersion): Promise<TLSSocket> {
    const versions = version === undefined ? {} : { minVersion: version, maxVersion: version };
    const socket = connect({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ciphers: "ALL:@SECLEVEL=0",
      ...versions,
    });
    await once(socket, "secureConnect");
    return socket;
  }
  /** The name in the certificate that a new connection is shown. */
  async function shownName(): Promise<PeerCertificate["subject"]["CN"]> {
    const socket = await shake();
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  }
  async function ask(agent: Agent): Promise<number | undefined> {
    const [response] = await once(request({ host: "127.0.0.1", port, path: "/readyz", agent }).end(), "response");
    response.resume();
    await once(response, "end");
    return response.statusCode;
  }

  it("speaks TLS 1.2 and 1.3, and nothing older or unencrypted", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const socket = await shake(version);
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    await expect(shake("TLSv1.1")).rejects.toThrow(/protocol version|handshake failure|alert/i);
    await expect(fetch(`http://127.0.0.1:${port}/readyz`)).rejects.toThrow("fetch failed");
  });

  it("takes a new certificate on SIGHUP, and keeps the connections that it has", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    expect(await ask(agent)).toBe(200);
    const [kept] = Object.values(agent.freeSockets).flat() as unknown as TLSSocket[];
    await use("second");
    plane.signal("SIGHUP");
    await eventually("new connections see the second certificate", async () => (await shownName()) === "second");
    expect(await ask(agent)).toBe(200);
    expect(Object.values(agent.freeSockets).flat()).toEqual([kept]);
    expect(kept?.getPeerCertificate().subject.CN).toBe("first");
    agent.destroy();
  });

  it("takes files that change by itself, and goes on with what it has while they do not fit together", async () => {
    await use("first", "second");
    await plane.printed(
      /the new certificate is no good.*is not the key of|is not the key of.*the new certificate is no good/,
    );
    expect(await shownName()).toBe("second");
    await use("first");
    await eventually("new connections see the first certificate", async () => (await shownName()) === "first");
  });

  it("is asked by doctor over TLS, which says until when the certificate is good", async () => {
    const { stdout } = await execa(CONTROL_PLANE, ["doctor", "--json"], { env, reject: false });
    expect(stdout).toContain(`answers at https://127.0.0.1:${port}/readyz`);
    expect(stdout).toMatch(/cert\.pem is good until 20\d\d-/);
  });

  it.each([
    [{ SHIPFOX_TLS_KEY_FILE: "" }, /Set SHIPFOX_TLS_KEY_FILE as well/],
    [{ SHIPFOX_TLS_CERT_FILE: "/nowhere.pem" }, /SHIPFOX_TLS_CERT_FILE: \/nowhere\.pem cannot be read/],
    [{ SHIPFOX_TLS_CERT_FILE: "/etc/hostname" }, /\/etc\/hostname holds no certificate/],
  ])("does not start with %j, and says why", async (change, message) => {
    const started = new Child("wrong", CONTROL_PLANE, [], {
      ...env,
      PORT: "0",
      SHIPFOX_DATA_DIR: join(folder, "other"),
      ...change,
    });
    expect(await stage.addChild(started).exited).toMatchObject({ code: 78 });
    expect(started.output).toMatch(message);
  });
});
