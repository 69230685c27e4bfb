import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeLogRecords, encodeLogRecord } from "@shipfox/shared/log-records";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Backoff } from "@shipfox/shared/backoff";
import { ControlPlaneClient } from "../control-plane/client.ts";
import { type PlaneAnswer, StandInLog, StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import { Spool } from "./spool.ts";
import { LogUploader, type SendRecords } from "./uploader.ts";

const IDLE_MS = 5_000;
const IDENTITY = { job_id: "job", step_id: "11111111-1111-7111-8111-111111111111", attempt: 1, lease_token: "lease" };
const NEVER = new AbortController().signal;

let root: string;
let plane: StandInPlane;
let client: ControlPlaneClient;
let log: StandInLog;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-spool-"));
  plane = new StandInPlane();
  log = new StandInLog();
  serveLog((append) => append());
  await plane.start();
  client = new ControlPlaneClient({ baseUrl: plane.url, callMarginMs: 2_000 });
});

afterEach(async () => {
  client.close();
  await plane.stop();
  rmSync(root, { recursive: true, force: true });
});

/** `fault` decides about the n-th append, with the real append at hand. */
function serveLog(fault: (append: () => PlaneAnswer, index: number) => PlaneAnswer): void {
  let index = 0;
  plane.on(/^POST .*\/logs$/, (request) =>
    fault(() => log.append(Number(request.query.get("offset")), request.body), index++),
  );
}

const send: SendRecords = (offset, records, signal) =>
  client.appendLog({ stepId: IDENTITY.step_id, attempt: 1, leaseToken: "lease", offset, records, signal });
const newUploader = (spool: Spool) => new LogUploader({ spool, send, backoff: new Backoff(2) });
const line = (index: number) =>
  encodeLogRecord({ v: 1, ts: index, type: "output", stream: "stdout", data: `line ${index}\n` });
const END = encodeLogRecord({ v: 1, ts: 0, type: "end", total_bytes: 0 });

function writeLines(spool: Spool, uploader: LogUploader, from: number, to: number): void {
  for (let index = from; index < to; index += 1) {
    spool.append(Buffer.from(line(index)));
    uploader.wake();
  }
}

const expectedLines = (count: number) => `${Array.from({ length: count }, (_, index) => line(index)).join("")}${END}`;

async function uploadInWaves(options: { waves: number; linesPerWave: number; segmentBytes?: number }) {
  const spool = Spool.create(root, IDENTITY, { segmentBytes: options.segmentBytes });
  const uploader = newUploader(spool);
  for (let wave = 0; wave < options.waves; wave += 1) {
    writeLines(spool, uploader, wave * options.linesPerWave, (wave + 1) * options.linesPerWave);
    await new Promise((resolve) => setImmediate(resolve));
  }
  spool.appendLast(Buffer.from(END));
  uploader.wake();
  const outcome = await uploader.drain(IDLE_MS, NEVER);
  return { outcome, spool, uploader };
}

describe("LogUploader", () => {
  it("sends every record once, in order, and says so", async () => {
    const { outcome } = await uploadInWaves({ waves: 20, linesPerWave: 50 });
    expect(outcome).toBe("drained");
    expect(log.content.toString()).toBe(expectedLines(1_000));
  });

  it("sends at once when idle, without a probe", async () => {
    const spool = Spool.create(root, IDENTITY);
    const uploader = newUploader(spool);
    const arrived = new Promise<void>((resolve) =>
      plane.on(/\/logs$/, (request) => (resolve(), log.append(0, request.body))),
    );
    spool.append(Buffer.from(line(0)));
    uploader.wake();
    await arrived;
    expect(log.content.toString()).toBe(line(0));
    await uploader.stop();
  });

  it("neither loses nor doubles a record under dropped connections, lost replies, refusals and gaps", async () => {
    serveLog((append, index) => {
      if (index % 7 === 1) return "drop";
      if (index % 7 === 2) return append(), "drop";
      if (index % 7 === 3) return { status: 503, json: { code: "overloaded" } };
      if (index % 7 === 4) return append(), append();
      return append();
    });
    const { outcome } = await uploadInWaves({ waves: 12, linesPerWave: 40, segmentBytes: 2_000 });
    expect(outcome).toBe("drained");
    expect(log.content.toString()).toBe(expectedLines(480));
  });

  it("goes on after the control plane was away, however long the idle limit", async () => {
    const spool = Spool.create(root, IDENTITY);
    const uploader = newUploader(spool);
    writeLines(spool, uploader, 0, 10);
    await plane.stop();
    writeLines(spool, uploader, 10, 20);
    spool.appendLast(Buffer.from(END));
    const drained = uploader.drain(1_500, NEVER);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await plane.start();
    expect(await drained).toBe("drained");
    expect(log.content.toString()).toBe(expectedLines(20));
  });

  it("continues at the server's length when it is behind", async () => {
    const spool = Spool.create(root, IDENTITY);
    for (let index = 0; index < 5; index += 1) spool.append(Buffer.from(line(index)));
    spool.appendLast(Buffer.from(END));
    const head = Buffer.from(line(0) + line(1));
    log.append(0, head);
    const uploader = newUploader(spool);
    expect(await uploader.drain(IDLE_MS, NEVER)).toBe("drained");
    expect(log.content.toString()).toBe(expectedLines(5));
  });

  it("sends what an earlier process left, cut to whole records, after asking how far the server is", async () => {
    const earlier = Spool.create(root, IDENTITY, { segmentBytes: 200 });
    for (let index = 0; index < 9; index += 1) earlier.append(Buffer.from(line(index)));
    earlier.close();
    const [folder] = readdirSync(root);
    const newest = readdirSync(join(root, folder as string))
      .filter((name) => name.endsWith(".ndjson"))
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .at(-1) as string;
    writeFileSync(join(root, folder as string, newest), '{"v":1,"ts":', { flag: "a" });
    log.append(0, Buffer.from(line(0) + line(1) + line(2)));

    const [spool] = Spool.leftovers(root);
    expect(spool?.identity).toEqual(IDENTITY);
    const uploader = new LogUploader({ spool: spool as Spool, send, resume: true });
    expect(await uploader.drain(IDLE_MS, NEVER)).toBe("drained");
    expect(decodeLogRecords(log.content.toString()).map((record) => record.ts)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(plane.requests[0]?.body).toHaveLength(0);
    spool?.remove();
    expect(readdirSync(root)).toEqual([]);
  });

  it("stops when the budget is used up", async () => {
    log.budgetBytes = 100;
    const { outcome, uploader } = await uploadInWaves({ waves: 3, linesPerWave: 5 });
    expect(outcome).toBe("drained");
    expect(uploader.wantsMore).toBe(false);
  });

  it.each([
    ["the stream is closed", () => void (log.isClosed = true)],
    [
      "the lease is not ours any more",
      () => plane.on(/\/logs$/, () => ({ status: 404, json: { code: "step-not-found" } })),
    ],
    ["a record is refused", () => plane.on(/\/logs$/, () => ({ status: 400, json: { code: "malformed-log-chunk" } }))],
  ])("gives up when %s", async (_when, arrange) => {
    arrange();
    const { outcome } = await uploadInWaves({ waves: 1, linesPerWave: 5 });
    expect(outcome).toBe("abandoned");
    expect(plane.requests).toHaveLength(1);
  });

  it("gives up when the plane is silent for the idle limit, and when it is told to stop", async () => {
    plane.on(/\/logs$/, async (request) => {
      await request.gone;
      return "drop" as const;
    });
    const spool = Spool.create(root, IDENTITY);
    const uploader = newUploader(spool);
    spool.appendLast(Buffer.from(END));
    expect(await uploader.drain(50, NEVER)).toBe("abandoned");
    await uploader.stop();
  });
});

describe("Spool", () => {
  it("removes acknowledged files while the step still prints", () => {
    const spool = Spool.create(root, IDENTITY, { segmentBytes: 500 });
    for (let index = 0; index < 100; index += 1) {
      spool.append(Buffer.from(line(index)));
      spool.acknowledge(spool.end);
    }
    const [folder] = readdirSync(root);
    expect(readdirSync(join(root, folder as string)).length).toBeLessThanOrEqual(2);
    expect(spool.start).toBeGreaterThan(0);
  });

  it.skipIf(process.getuid?.() !== 0)(
    "keeps the last records in memory when the disk is full, and the rest as it was",
    () => {
      execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", root]);
      try {
        const spool = Spool.create(root, IDENTITY);
        let written = 0;
        while (spool.append(Buffer.from(line(written))) === null) written += 1;
        expect(spool.append(Buffer.from(line(written)))).toContain("ENOSPC");
        spool.appendLast(Buffer.from(line(written) + END));
        let text = "";
        while (text.length < spool.end) text += spool.read(text.length, 5_000).toString();
        expect(text).toBe(expectedLines(written + 1));
        spool.acknowledge(spool.end);
        spool.remove();
      } finally {
        execFileSync("/bin/umount", [root]);
      }
    },
  );
});
