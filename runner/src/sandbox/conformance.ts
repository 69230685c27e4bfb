import { access, mkdir, readFile, readdir, rename, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runnerIsRoot } from "./job-user.ts";
import type { ExecResult, OutputStream, Sandbox, SandboxProvider, StepExec } from "./sandbox.ts";
import { readStepFolder } from "./read-step-folder.ts";
import { readStepFile } from "./step-file.ts";

/** What every sandbox promises, whatever it is made of. Each test is one promise; none knows the implementation. */

const OPEN_TIMEOUT_MS = 120_000;
const TEST_TIMEOUT_MS = 60_000;
const GRACE_MS = 500;
const MAX_FILE_BYTES = 1024;
const ATTACK_ROUNDS = 5;
/** Many times the pace of what must not go on. */
const QUIET_MS = 300;

/** Values that a runner has in its environment and a step must never see. */
const SECRETS = { SHIPFOX_RUNNER_REGISTRATION_TOKEN: "sf_mrt_conformance", GITHUB_TOKEN: "conformance-secret" };

export interface Ran {
  result: ExecResult;
  stdout: string;
  stderr: string;
}

export async function run(sandbox: Sandbox, script: string, options: Partial<StepExec> = {}): Promise<Ran> {
  const parts: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  const result = await sandbox.exec({
    script,
    env: {},
    workingDirectory: null,
    onOutput: (stream, chunk) => void parts[stream].push(Buffer.from(chunk)),
    signal: new AbortController().signal,
    graceMs: GRACE_MS,
    ...options,
  });
  return {
    result,
    stdout: Buffer.concat(parts.stdout).toString("utf8"),
    stderr: Buffer.concat(parts.stderr).toString("utf8"),
  };
}

/** Runs a script and aborts as soon as it printed `ready`. */
export async function runUntilReady(sandbox: Sandbox, script: string, graceMs = GRACE_MS): Promise<Ran> {
  const abort = new AbortController();
  const parts: Record<OutputStream, string> = { stdout: "", stderr: "" };
  const onOutput = (stream: OutputStream, chunk: Buffer) => {
    parts[stream] += chunk.toString("utf8");
    if (parts.stdout.includes("ready")) abort.abort();
  };
  const { result } = await run(sandbox, script, { onOutput, signal: abort.signal, graceMs });
  return { result, ...parts };
}

export interface ConformanceCase {
  /** A provider that is prepared; the suite closes it. */
  makeProvider: () => Promise<SandboxProvider>;
  /** What is left on the machine of the sandboxes that the provider made, a line each; empty is clean. */
  leftovers: () => Promise<string[]>;
  /** Whether a process that empties its environment and leaves its session is caught too. */
  catchesEscapees: boolean;
  /** Whether the engine ends a step's output with its shell, so that what background processes print afterwards is lost. */
  endsOutputWithShell?: boolean;
}

export function sandboxConformance(name: string, subject: ConformanceCase): void {
  // oxlint-disable-next-line vitest/valid-title -- each caller names what it tests
  describe(name, { timeout: TEST_TIMEOUT_MS }, () => {
    let provider: SandboxProvider;
    let sandbox: Sandbox;
    const before = { ...process.env };

    beforeAll(async () => {
      Object.assign(process.env, SECRETS);
      provider = await subject.makeProvider();
      sandbox = provider.create({ jobId: "job", executionId: "execution", image: null });
      await sandbox.open();
    }, OPEN_TIMEOUT_MS);

    afterAll(async () => {
      await sandbox.close();
      await provider.close();
      for (const key of Object.keys(SECRETS)) delete process.env[key];
      Object.assign(process.env, before);
      const left = await subject.leftovers();
      if (left.length > 0) throw new Error(`Left behind: ${left.join(", ")}`);
    }, OPEN_TIMEOUT_MS);

    it("reports the exit code of the script", async () => {
      expect((await run(sandbox, "true")).result).toEqual({ kind: "exited", exitCode: 0, signal: null });
      expect((await run(sandbox, "exit 7")).result).toEqual({ kind: "exited", exitCode: 7, signal: null });
    });

    it("stops at the first command that fails", async () => {
      const { result, stdout } = await run(sandbox, "echo one\nfalse\necho two");
      expect(result).toMatchObject({ kind: "exited", exitCode: 1 });
      expect(stdout).toBe("one\n");
    });

    it("names the signal that killed the script", async () => {
      expect((await run(sandbox, "kill -KILL $$")).result).toEqual({
        kind: "exited",
        exitCode: 137,
        signal: "SIGKILL",
      });
      expect((await run(sandbox, "kill -TERM $$")).result).toEqual({
        kind: "exited",
        exitCode: 143,
        signal: "SIGTERM",
      });
    });

    it("keeps standard output and error apart", async () => {
      const { stdout, stderr } = await run(sandbox, "echo out; echo err >&2; echo out2; echo err2 > /dev/stderr");
      expect(stdout).toBe("out\nout2\n");
      expect(stderr).toBe("err\nerr2\n");
    });

    it("gives the script nothing to read", async () => {
      expect((await run(sandbox, "wc -c")).stdout.trim()).toBe("0");
    });

    it("hands on megabytes of output, every byte in order, to a slow reader", async () => {
      const lines = 200_000;
      let bytes = 0;
      let tail = "";
      const { result } = await run(sandbox, `seq 1 ${lines}`, {
        onOutput: async (_stream, chunk) => {
          bytes += chunk.length;
          tail = (tail + chunk.toString("latin1")).slice(-16);
          await new Promise(setImmediate);
        },
      });
      expect(result).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(bytes).toBe(
        Array.from({ length: lines }, (_, n) => `${n + 1}\n`.length).reduce((sum, length) => sum + length, 0),
      );
      expect(tail).toMatch(/199999\n200000\n$/);
    });

    it("passes text of every kind, in the script, its variables and its output", async () => {
      const text = "ünï → 漢字 🦊 'single' \"double\" $HOME `id` \\ \n second line\ttab";
      const { stdout } = await run(sandbox, `printf '%s|%s' "$TEXT" 'é🦊'`, { env: { TEXT: text } });
      expect(stdout).toBe(`${text}|é🦊`);
    });

    it("runs a script that is larger than an argument may be", async () => {
      const filler = Array.from({ length: 4000 }, (_, n) => `: 'line ${n} ${"x".repeat(40)}'`).join("\n");
      expect((await run(sandbox, `${filler}\necho end`)).stdout).toBe("end\n");
    });

    it("starts a script with as many variables as the steps of a job may set", async () => {
      const names = ["A", "B", "C", "D"];
      const env = Object.fromEntries(names.map((name) => [name, name.repeat(60_000)]));
      const { stdout } = await run(sandbox, 'printf %s "$A$B$C$D" | wc -c', { env });
      expect(stdout.trim()).toBe("240000");
    });

    it("builds the environment from nothing", async () => {
      const names = ["MINE", "with.dot"];
      const { stdout } = await run(sandbox, "env -0 | tr '\\0' '\\n'", { env: { MINE: "1", "with.dot": "2" } });
      const seen = new Map(
        stdout
          .trim()
          .split("\n")
          .map((line) => [line.split("=")[0] ?? "", line]),
      );
      for (const wanted of ["PATH", "HOME", "USER", ...names]) expect([...seen.keys()]).toContain(wanted);
      for (const [key, value] of Object.entries(SECRETS)) {
        expect(seen.has(key)).toBe(false);
        expect(stdout).not.toContain(value);
      }
      expect([...seen.keys()].filter((key) => /^(SHIPFOX_RUNNER|VITEST|NODE_|npm_|SUDO_|DOCKER_)/.test(key))).toEqual(
        [],
      );
    });

    it("starts in the workspace, or in the folder that the step names", async () => {
      expect((await run(sandbox, "pwd; mkdir -p sub/deep")).stdout).toBe(`${sandbox.workspaceInside}\n`);
      expect((await run(sandbox, "pwd", { workingDirectory: "sub/deep" })).stdout).toBe(
        `${sandbox.workspaceInside}/sub/deep\n`,
      );
      expect((await run(sandbox, "pwd", { workingDirectory: "/usr" })).stdout).toBe("/usr\n");
    });

    it("fails a step whose folder does not exist, in words", async () => {
      const { result, stderr } = await run(sandbox, "echo ran", { workingDirectory: "no/such" });
      expect(result).toMatchObject({ kind: "exited", exitCode: 1 });
      expect(stderr).toContain("no/such does not exist");
    });

    it("keeps files and background processes from one step to the next", async () => {
      const first = await run(sandbox, "echo kept > kept.txt; sleep 60 >/dev/null 2>&1 & echo $! > pid.txt");
      expect(first.result).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(
        (await run(sandbox, 'cat kept.txt; kill -0 "$(cat pid.txt)" && echo alive; kill "$(cat pid.txt)"')).stdout,
      ).toBe("kept\nalive\n");
    });

    it("is not held up by a background process that keeps the pipes", async () => {
      const { result, stdout } = await run(sandbox, "sleep 300 & echo $! > pid.txt; echo done; exit 4");
      expect(result).toMatchObject({ kind: "exited", exitCode: 4 });
      expect(stdout).toBe("done\n");
      // By its number: without namespaces a name would reach the processes of every job on the machine.
      await run(sandbox, 'kill "$(cat pid.txt)"');
    });

    const readsOn = subject.endsOutputWithShell ? "does not promise to read" : "still reads for a moment";
    it(`${readsOn} what background processes print when the step has ended`, async () => {
      const { stdout } = await run(sandbox, "(sleep 0.3; echo late) & echo done");
      expect(stdout).toMatch(subject.endsOutputWithShell ? /^done\n(?:late\n)?$/ : /^done\nlate\n$/);
    });

    it("shares the workspace with the host, owned by the steps' user", async () => {
      await writeFile(join(sandbox.workspace, "from-host.txt"), "host");
      await sandbox.handOver(sandbox.workspace);
      expect((await run(sandbox, "cat from-host.txt; echo more >> from-host.txt; echo new > new.txt")).stdout).toBe(
        "host",
      );
      for (const name of ["from-host.txt", "new.txt"]) {
        expect(await stat(join(sandbox.workspace, name))).toMatchObject(sandbox.jobUser);
      }
    });

    it.runIf(runnerIsRoot())("hides what the runner prepares, until it is moved into the workspace", async () => {
      const hidden = await sandbox.createHiddenFolder();
      await mkdir(join(hidden, "prepared"));
      await writeFile(join(hidden, "prepared", "file"), "prepared\n");
      const look = 'cat "$HIDDEN"/prepared/file 2>/dev/null || ls "$HIDDEN" 2>/dev/null || echo hidden';
      expect((await run(sandbox, look, { env: { HIDDEN: hidden } })).stdout).toBe("hidden\n");
      await sandbox.handOver(hidden);
      await rename(join(hidden, "prepared"), join(sandbox.workspace, "prepared"));
      expect((await run(sandbox, "cat prepared/file; rm -r prepared")).stdout).toBe("prepared\n");
    });

    it("takes what a step writes into the file it was given", async () => {
      const file = await sandbox.createStepFile("output");
      await run(sandbox, 'echo "key=value" >> "$OUT"', { env: { OUT: file.inside } });
      expect(await readStepFile(file.host, MAX_FILE_BYTES)).toMatchObject({
        kind: "content",
        content: Buffer.from("key=value\n"),
      });
      await run(sandbox, 'head -c 2000 /dev/zero > "$OUT"', { env: { OUT: file.inside } });
      expect(await readStepFile(file.host, MAX_FILE_BYTES)).toMatchObject({ kind: "too_large" });
    });

    it("takes the files that a step puts into the folder it was given", async () => {
      const folder = await sandbox.createStepFolder("annotations");
      const { result } = await run(sandbox, 'echo one > "$DIR/a"; ln -s /etc/passwd "$DIR/b"; mkfifo "$DIR/c"', {
        env: { DIR: folder.inside },
      });
      expect(result).toMatchObject({ exitCode: 0 });
      const read = await readStepFolder(folder.host, { maxFiles: 10, maxFileBytes: 100, maxTotalBytes: 100 });
      expect(read.files).toEqual([{ name: "a", content: Buffer.from("one\n") }]);
      expect(read.skipped.map(({ name }) => name)).toEqual(["b", "c"]);
    });

    it("searches the folders that come before PATH first", async () => {
      const tools = `${sandbox.workspaceInside}/tools`;
      await run(sandbox, "mkdir tools; printf '#!/bin/sh\\necho mine\\n' > tools/uname; chmod +x tools/uname");
      expect((await run(sandbox, "uname; ls -d /", { path: [tools] })).stdout).toBe("mine\n/\n");
      expect((await run(sandbox, "uname")).stdout).toBe("Linux\n");
    });

    it("tells what the job takes on disk", async () => {
      const before = await sandbox.measureDisk();
      await run(
        sandbox,
        'head -c 4000000 /dev/zero > big; head -c 4000000 /dev/zero > "$HOME/big"; ln -s / everything',
      );
      expect((await sandbox.measureDisk()) - before).toBeGreaterThan(7_900_000);
      expect((await sandbox.measureDisk()) - before).toBeLessThan(9_000_000);
      await run(sandbox, 'rm big everything "$HOME/big"');
      expect((await sandbox.measureDisk()) - before).toBeLessThan(1_000_000);
    });

    it.runIf(runnerIsRoot())("lets a step neither replace nor remove the runner's files", async () => {
      const file = await sandbox.createStepFile("kept");
      const { stdout } = await run(
        sandbox,
        'folder=$(dirname "$OUT"); rm -f "$OUT" 2>/dev/null || echo kept; ln -s /etc/passwd "$folder/x" 2>/dev/null || echo closed',
        { env: { OUT: file.inside } },
      );
      expect(stdout).toBe("kept\nclosed\n");
    });

    it.runIf(runnerIsRoot())("runs steps as another user, without capabilities or a way to get some", async () => {
      const { stdout } = await run(
        sandbox,
        "id -u; id -g; id -G; grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status",
      );
      const { uid, gid } = sandbox.jobUser;
      const none = "0000000000000000";
      expect(uid).not.toBe(0);
      expect(stdout.replaceAll("\t", " ")).toContain(`${uid}\n${gid}\n${gid}\nCapPrm: ${none}\nCapEff: ${none}\n`);
      if (subject.catchesEscapees) expect(stdout).toMatch(/CapBnd:\s+0+\nNoNewPrivs:\s+1/);
    });

    it("does not show the Docker socket", async () => {
      const { stdout } = await run(
        sandbox,
        "for s in /var/run/docker.sock /run/docker.sock; do [ -w $s ] && echo $s; done; echo end",
      );
      expect(stdout).toBe("end\n");
    });

    it("ends a step that is cancelled, in its own time when it heeds SIGTERM", async () => {
      const { result, stdout } = await runUntilReady(
        sandbox,
        "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
        10_000,
      );
      expect(result).toEqual({ kind: "stopped", exitCode: 9, signal: null });
      expect(stdout).toBe("ready\nbye\n");
    });

    it("kills a step that ignores SIGTERM after its grace", async () => {
      const { result } = await runUntilReady(sandbox, "trap '' TERM; echo ready; while :; do sleep 0.1; done");
      expect(result).toEqual({ kind: "stopped", exitCode: 137, signal: "SIGKILL" });
    });

    it("kills at once without grace", async () => {
      const { result, stdout } = await runUntilReady(
        sandbox,
        "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
        0,
      );
      expect(result).toMatchObject({ kind: "stopped", exitCode: 137 });
      expect(stdout).toBe("ready\n");
    });

    if (subject.catchesEscapees) {
      it("leaves nothing of a cancelled step alive, however well it hides", async () => {
        const hiding = [
          "beat() { trap '' TERM HUP INT; while :; do date +%N > \"beat-$1\"; sleep 0.05; done; }",
          "beat child &",
          "( ( beat orphan & ) & )",
          "setsid sh -c 'trap \"\" TERM; while :; do date +%N > beat-session; sleep 0.05; done' &",
          "env -i /bin/sh -c 'PATH=/usr/bin:/bin; (setsid sh -c \"trap : TERM; while :; do date +%N > beat-bare; sleep 0.05; done\" </dev/null >/dev/null 2>&1 &)'",
          "until [ -s beat-child ] && [ -s beat-orphan ] && [ -s beat-session ] && [ -s beat-bare ]; do sleep 0.05; done",
          "echo ready; wait",
        ];
        const { result } = await runUntilReady(sandbox, hiding.join("\n"));
        expect(result.kind).toBe("stopped");
        const { stdout } = await run(
          sandbox,
          "cat beat-* > before; sleep 0.3; cat beat-* | cmp - before && echo still",
        );
        expect(stdout).toBe("still\n");
      });
    }

    it("makes everything stand still until it is resumed, and holds the next step back", async () => {
      const beats = join(sandbox.workspace, "beats");
      await run(sandbox, "(while :; do echo beat; sleep 0.02; done >>beats) & exit 0");
      const size = async () => (await stat(beats)).size;
      let isPaused = false;
      const outputWhilePaused: string[] = [];
      const started = Promise.withResolvers<void>();
      const step = run(sandbox, "echo ready; for i in $(seq 40); do echo line $i; sleep 0.02; done", {
        onOutput: (_stream, chunk) => {
          if (isPaused) outputWhilePaused.push(chunk.toString("utf8"));
          started.resolve();
        },
      });
      await started.promise;
      await sandbox.pause();
      await sandbox.pause();
      // What was written before may still be on its way.
      await delay(QUIET_MS);
      isPaused = true;
      const sizeAtFirst = await size();
      await delay(QUIET_MS);
      expect(await size()).toBe(sizeAtFirst);
      expect(outputWhilePaused).toEqual([]);
      isPaused = false;
      await sandbox.resume();
      await sandbox.resume();
      expect((await step).result).toEqual({ kind: "exited", exitCode: 0, signal: null });
      await expect.poll(size).toBeGreaterThan(sizeAtFirst);

      await sandbox.pause();
      const order: string[] = [];
      const next = run(sandbox, "rm beats; echo next").then(() => order.push("next"));
      await delay(QUIET_MS);
      order.push("resumed");
      await sandbox.resume();
      await next;
      expect(order).toEqual(["resumed", "next"]);
    });

    it("kills a step that stands still at once", async () => {
      const abort = new AbortController();
      const paused = Promise.withResolvers<void>();
      const step = run(sandbox, "trap '' TERM; echo ready; sleep 300", {
        signal: abort.signal,
        graceMs: TEST_TIMEOUT_MS,
        onOutput: () => void sandbox.pause().then(paused.resolve, paused.reject),
      });
      await paused.promise;
      abort.abort();
      expect((await step).result.kind).toBe("stopped");
      await sandbox.resume();
      expect((await run(sandbox, "echo alive")).stdout).toBe("alive\n");
    });

    it("stops a step that is cancelled while it starts", async () => {
      for (const delayMs of [0, 1, 3, 6, 12]) {
        const abort = new AbortController();
        const step = run(sandbox, "sleep 300", { signal: abort.signal, graceMs: 0 });
        await delay(delayMs);
        abort.abort();
        expect((await step).result.kind).toBe("stopped");
      }
    });

    it("closes while it stands still", async () => {
      const other = provider.create({ jobId: "still", executionId: "execution", image: null });
      await other.open();
      await run(other, "(trap '' TERM; sleep 300) & exit 0");
      await other.pause();
      await other.close();
      await expect(access(other.workspace)).rejects.toMatchObject({ code: "ENOENT" });
    });

    it("goes on with the next step after a cancelled one", async () => {
      expect((await run(sandbox, "echo next; cat kept.txt")).stdout).toBe("next\nkept\n");
    });

    it("does not start a step that is cancelled already", async () => {
      const { result, stdout } = await run(sandbox, "echo ran", { signal: AbortSignal.abort() });
      expect(result).toEqual({ kind: "stopped", exitCode: null, signal: null });
      expect(stdout).toBe("");
    });

    it("stops the step and rejects when its output cannot be taken", async () => {
      const onOutput = () => Promise.reject(new Error("spool is full"));
      await expect(run(sandbox, "echo x; sleep 300", { onOutput })).rejects.toThrow("spool is full");
    });

    it("opens sandboxes side by side that do not see each other", async () => {
      const other = provider.create({ jobId: "other", executionId: "other", image: null });
      try {
        await other.open();
        const [mine, theirs] = await Promise.all([
          run(sandbox, "echo mine > who"),
          run(other, "ls; echo theirs > who"),
        ]);
        expect([mine.stdout, theirs.stdout]).toEqual(["", ""]);
        expect((await run(sandbox, "cat who")).stdout).toBe("mine\n");
      } finally {
        await other.close();
      }
    });

    it("closes with everything gone: processes, links, folders without rights, names that hurt", async () => {
      const doomed = provider.create({ jobId: "doomed", executionId: "doomed", image: null });
      await doomed.open();
      const { workspace } = doomed;
      await symlink(sandbox.workspace, join(workspace, "way-out"));
      const mess = [
        "(setsid sleep 300 >/dev/null 2>&1 &)",
        "mkdir -p locked/inner && touch locked/inner/x -- -rf '--help' \"$(printf 'bad\\377name')\" \"new\nline\" && chmod 000 locked",
        "ln -s / root-link; ln -s ../.. up-link; mkfifo fifo; touch ..dots ...; mkdir many; cd many; seq 1 100000 | xargs touch; cd ..",
        'd=$(printf "d%.0s" $(seq 1 200)); i=0; while [ $i -lt 30 ]; do mkdir "$d" && cd "$d"; i=$((i+1)); done',
      ];
      expect((await run(doomed, mess.join("\n"))).result).toMatchObject({ exitCode: 0 });
      await doomed.close();
      await doomed.close();
      await expect(access(workspace)).rejects.toThrow("ENOENT");
      expect(await readFile(join(sandbox.workspace, "kept.txt"), "utf8")).toBe("kept\n");
      expect(await readdir("/")).toContain("etc");
    });

    it("shows the next job nothing of the one before: no file, no process, no shared memory", async () => {
      const traces =
        'for d in "${TMPDIR:-/tmp}" "$HOME" /workspace /dev/shm /var/tmp; do touch "$d/trace-$0" 2>/dev/null; done';
      const first = provider.create({ jobId: "first", executionId: "first", image: null });
      await first.open();
      await run(first, `${traces}; setsid sleep 54321 >/dev/null 2>&1 & true`);
      await first.close();
      const second = provider.create({ jobId: "second", executionId: "second", image: null });
      try {
        await second.open();
        const look = [
          'ls -A "${TMPDIR:-/tmp}" "$HOME" . 2>/dev/null | grep trace',
          "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 5432[1]'",
          "echo end",
        ];
        expect((await run(second, `set +e; ${look.join("; ")}`)).stdout).toBe("end\n");
      } finally {
        await second.close();
      }
    });

    it("removes no file outside, however a job swaps folders for links while it is closed", async () => {
      const canary = join(sandbox.workspace, "canary");
      await mkdir(canary);
      await writeFile(join(canary, "file"), "alive");
      for (let round = 0; round < ATTACK_ROUNDS; round++) {
        const attacker = provider.create({ jobId: "attacker", executionId: "attacker", image: null });
        await attacker.open();
        const target = join(attacker.workspace, "target");
        await symlink(canary, target);
        const swap = [
          `ln -sfn '${canary}' link; mkdir -p a/b/c; touch a/b/c/file`,
          "swap() { trap '' TERM; while :; do mv -T a a2; mv -T link a; mv -T a link; mv -T a2 a; mkdir -p a/b/c/d; done; }",
          "for i in 1 2 3; do (swap >/dev/null 2>&1 &); done; echo swapping",
        ];
        expect((await run(attacker, swap.join("\n"))).stdout).toBe("swapping\n");
        await attacker.close();
        await expect(access(attacker.workspace)).rejects.toThrow("ENOENT");
      }
      expect(await readFile(join(canary, "file"), "utf8")).toBe("alive");
    });

    it("may be closed without having been opened", async () => {
      const never = provider.create({ jobId: "never", executionId: "never", image: null });
      await expect(never.close()).resolves.toBeUndefined();
    });
  });
}
