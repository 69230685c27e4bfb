import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const REGISTRATIONS = 10_000;
const ALLOWED_USES = 300;
const AT_ONCE = 50;
const MAX_RESIDENT_MIB = 500;
const HUGE_BYTES = 64 * 1024 * 1024;
const SLOW_SOCKETS = 300;

describe("a control plane that is abused", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "job.yml": workflow("Job", "  job:\n    checkout: false\n    steps:\n      - run: echo served\n"),
    });
    await instance.runner();
  });

  async function servesOthers(): Promise<void> {
    expect((await instance.waitForRun(await instance.fire(project, "Job"))).status).toBe("succeeded");
  }

  /** The most memory that the control plane ever had, in MiB. */
  async function peakMib(): Promise<number> {
    const status = await readFile(`/proc/${plane.child.pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  }

  it(`${attack(24, `${REGISTRATIONS} registrations with one token`)}`, async () => {
    const token = await instance.registrationToken({ max_uses: ALLOWED_USES });
    const answers = new Map<number, number>();
    let left = REGISTRATIONS;
    const flood = Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) {
        const body = { labels: ["nothing-for-it"], persistent: true };
        const { status } = await call(plane.url, "POST", "/runners/register", { token, body });
        answers.set(status, (answers.get(status) ?? 0) + 1);
      }
    });
    await servesOthers();
    await Promise.all(flood);
    expect(Object.fromEntries(answers)).toEqual({ 200: ALLOWED_USES, 409: REGISTRATIONS - ALLOWED_USES });
    expect(await peakMib()).toBeLessThan(MAX_RESIDENT_MIB);
  });

  it(`${attack(24, "huge bodies, with and without a credential")}`, async () => {
    const body = Buffer.alloc(HUGE_BYTES, "x");
    const headers = { "content-type": "application/json" };
    const paths = ["/auth/login", "/runners/register", "/definitions/validate", "/runs/jobs/current/annotations"];
    const calls = [null, instance.api.token].flatMap((token) =>
      paths.map(async (path) => {
        // The connection may be closed while the rest is still on its way.
        const answer = await call(plane.url, "POST", path, { token, body, headers }).catch(() => null);
        return answer === null || (answer.status >= 400 && answer.status < 500);
      }),
    );
    await servesOthers();
    expect((await Promise.all(calls)).every(Boolean)).toBe(true);
    expect(await peakMib()).toBeLessThan(MAX_RESIDENT_MIB);
  });

  it(`${attack(24, `${SLOW_SOCKETS} bodies that never end`)}`, async () => {
    const { port } = new URL(plane.url);
    const sockets = await Promise.all(Array.from({ length: SLOW_SOCKETS }, () => slowBody(Number(port))));
    try {
      await servesOthers();
      expect(await peakMib()).toBeLessThan(MAX_RESIDENT_MIB);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await servesOthers();
  });
});

/** A connection that has promised a body and sent the first byte of it. */
function slowBody(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const head =
      "POST /auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(head);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}
