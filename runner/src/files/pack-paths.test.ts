import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestGuard } from "../guard/test-guard.fixture.ts";
import { run } from "../sandbox/conformance.ts";
import { HostProvider } from "../sandbox/host/host-provider.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { ArchiveFault } from "./archive-fault.ts";
import { ARCHIVE_LIMITS, packPaths } from "./pack-paths.ts";
import type { ArchiveLimits } from "./read-tar.ts";
import { unpack } from "./unpack.ts";

const ROUNDS = 8;
const guard = await startTestGuard();

describe("packing paths of a workspace", () => {
  let folder: string;
  let sandbox: Sandbox;
  const { signal } = new AbortController();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "shipfox-pack-"));
    await chmod(folder, 0o711);
    const logger = pino({ level: "silent" });
    const common = { runnerId: randomUUID(), logger, lifelines: guard, isolation: "process-group" as const };
    const provider = new HostProvider({ workRoot: join(folder, "work"), ...common });
    await provider.prepare();
    sandbox = provider.create({ jobId: randomUUID(), executionId: randomUUID(), image: null });
    await sandbox.open();
  });

  afterAll(async () => {
    await sandbox.close();
    await guard.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** What arrives where the archive is unpacked; null when there was nothing. */
  async function packed(paths: string[], limits: ArchiveLimits = ARCHIVE_LIMITS): Promise<string[] | null> {
    const target = await mkdtemp(join(folder, "target-"));
    const found = await packPaths({ sandbox, paths, folder, compression: "zstd", signal, limits });
    if (found === null) return null;
    await unpack({ file: found.file, compression: "zstd", workspace: target, into: ".", limits, signal });
    await found.file.close();
    return (await readdir(target, { recursive: true })).sort();
  }

  const shell = async (script: string) => expect((await run(sandbox, script)).result).toMatchObject({ exitCode: 0 });

  it("takes folders whole, and what the patterns find; no name is taken for code or for an option", async () => {
    await shell(`mkdir -p dist/sub 'it''s $(x)' && touch dist/sub/a dist/.hidden b.log c.log d.txt -- '--help' "it's"`);
    expect(await packed(["dist/", "*.log"])).toEqual([
      "b.log",
      "c.log",
      "dist",
      "dist/.hidden",
      "dist/sub",
      "dist/sub/a",
    ]);
    expect(await packed(["--help", "it's", "its $(x)", "?.txt"])).toEqual(["--help", "d.txt", "it's", "its $(x)"]);
    expect(await packed(["nothing", "*.none"])).toBeNull();
    await shell("rm -rf -- * .[a-z]*");
  });

  it("refuses links that lead out, pipes, and what is too much, and leaves no file of its own", async () => {
    await shell("mkdir a && ln -s /etc/passwd a/passwd");
    await expect(packed(["a"])).rejects.toThrow("leaves the workspace");
    await shell("rm -r a && mkdir a && mkfifo a/pipe");
    await expect(packed(["a"])).rejects.toThrow("named pipe");
    await shell("rm -r a && mkdir a && head -c 100000 /dev/zero > a/zeros && touch a/b");
    await expect(packed(["a"], { maxEntries: 100, maxBytes: 50_000 })).rejects.toThrow("50000 bytes");
    await expect(packed(["a"], { maxEntries: 2, maxBytes: 500_000 })).rejects.toThrow("2 entries");
    expect((await readdir(folder)).filter((name) => name.startsWith(".archive"))).toEqual([]);
  });

  it("ends also when what pads an archive arrives after the archive has been read", async () => {
    await shell("touch one");
    /** Hands the output on in pieces, with time for the reader in between. */
    const slow: Pick<Sandbox, "exec"> = {
      exec: (command) =>
        sandbox.exec({
          ...command,
          onOutput: async (stream, chunk) => {
            for (let start = 0; start < chunk.length; start += 1_024) {
              await command.onOutput(stream, chunk.subarray(start, start + 1_024));
              await new Promise(setImmediate);
            }
          },
        }),
    };
    const found = await packPaths({ sandbox: slow, paths: ["one"], folder, compression: "gzip", signal });
    expect(found?.entries).toBe(1);
    await found?.file.close();
    await shell("rm one");
  });

  it("takes only what is the job's, while a process of the job swaps it for a link and a pipe", async () => {
    await shell("mkdir -p swap && echo mine > swap/file && echo mine > kept");
    const swapping = `(while :; do ln -sfn /etc/passwd swap/new; mv -fT swap/new swap/file; rm -f swap/file; mkfifo swap/file 2>/dev/null;
      rm -f swap/file; echo mine > swap/file; done) >/dev/null 2>&1 &`;
    await shell(swapping);
    for (let round = 0; round < ROUNDS; round += 1) {
      const target = await mkdtemp(join(folder, "swapped-"));
      const found = await packPaths({ sandbox, paths: ["swap", "kept"], folder, compression: "gzip", signal }).catch(
        (error: unknown) => error,
      );
      if (found instanceof ArchiveFault) continue;
      if (found === null || found instanceof Error) throw found ?? new Error("nothing was found");
      const { file } = found as NonNullable<Awaited<ReturnType<typeof packPaths>>>;
      await unpack({ file, compression: "gzip", workspace: target, into: ".", limits: ARCHIVE_LIMITS, signal });
      await file.close();
      expect(await readFile(join(target, "kept"), "utf8")).toBe("mine\n");
      const swapped = await readFile(join(target, "swap/file"), "utf8").catch(() => "");
      expect(["mine\n", ""]).toContain(swapped);
    }
  });
});
