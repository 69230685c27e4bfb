import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { startTestGuard } from "../../guard/test-guard.fixture.ts";
import { run, sandboxConformance } from "../conformance.ts";
import { HostProvider } from "./host-provider.ts";

const execute = promisify(execFile);
const folder = join(tmpdir(), `shipfox-host-${process.pid}`);
/** Nothing tells when a process of somebody else has ended. */
const guard = await startTestGuard();

afterAll(async () => {
  await guard.close();
  await rm(folder, { recursive: true, force: true });
});

async function makeProvider(isolation: "auto" | "process-group"): Promise<HostProvider> {
  const provider = new HostProvider({
    workRoot: join(folder, isolation),
    runnerId: randomUUID(),
    logger: pino({ level: "silent" }),
    lifelines: guard,
    isolation,
  });
  await provider.prepare();
  return provider;
}

const hasNamespaces = !(await makeProvider("auto")).describeIsolation().some((gap) => gap.includes("no namespaces"));
await rm(folder, { recursive: true });

describe.runIf(hasNamespaces)("with namespaces", () => {
  sandboxConformance("host sandbox in namespaces", {
    makeProvider: async () => await makeProvider("auto"),
    leftovers: async () => await readdir(join(folder, "auto", "places")),
    catchesEscapees: true,
  });
});

sandboxConformance("host sandbox in process groups", {
  makeProvider: async () => await makeProvider("process-group"),
  leftovers: async () => await readdir(join(folder, "process-group", "places")),
  catchesEscapees: false,
});

describe("host sandbox without its runner", () => {
  const isolations = [...(hasNamespaces ? ["auto" as const] : []), "process-group" as const];
  const killed = (["runner", "guard"] as const).flatMap((who) => isolations.map((isolation) => ({ who, isolation })));

  // Without namespaces it is the guard that finds and kills the processes.
  it.each(killed.filter(({ who, isolation }) => who === "runner" || isolation === "auto"))(
    "dies with it: after kill -9 of the $who no process of a job is left ($isolation)",
    async ({ who, isolation }) => {
      const seconds = `3${process.pid}`;
      const script = join(folder, `runner-${who}-${isolation}.ts`);
      const step = `trap '' TERM HUP; setsid sleep ${seconds} & echo ready; sleep ${seconds}`;
      await writeFile(script, runnerText(join(folder, `killed-${who}-${isolation}`), step, isolation));
      const runner = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
      onTestFinished(() => void runner.kill("SIGKILL"));
      const [line] = await once(runner.stdout, "data");
      const guardPid = Number(String(line).split(" ")[1]);
      const count = async () =>
        Number((await execute("pgrep", ["-c", "-f", `^sleep ${seconds}$`]).catch(() => ({ stdout: "0" }))).stdout);
      await expect.poll(count).toBe(2);

      if (who === "runner") runner.kill("SIGKILL");
      else process.kill(guardPid, "SIGKILL");

      await expect.poll(count).toBe(0);
    },
  );
});

describe("host sandbox that is prepared", () => {
  const isolations = [...(hasNamespaces ? ["auto" as const] : []), "process-group" as const];

  it.each(isolations)("ends what an earlier process of this runner left, and of no other (%s)", async (isolation) => {
    const seconds = `5${process.pid}`;
    const settings = { workRoot: join(folder, `left-${isolation}`), logger: pino({ level: "silent" }), isolation };
    const mine = randomUUID();
    const open = async (runnerId: string) => {
      const provider = new HostProvider({ ...settings, runnerId, lifelines: guard });
      await provider.prepare();
      const sandbox = provider.create({ jobId: "j", executionId: "e", image: null });
      await sandbox.open();
      await run(sandbox, `setsid sleep ${seconds} >/dev/null 2>&1 &`);
      return sandbox;
    };
    const left = await open(mine);
    settings.workRoot += "-2";
    const other = await open(randomUUID());
    const count = async () => (await execute("pgrep", ["-f", `^sleep ${seconds}$`])).stdout.trim().split("\n").length;
    await expect.poll(count).toBe(2);

    await new HostProvider({ ...settings, runnerId: mine, lifelines: guard, workRoot: join(folder, "left") }).prepare();

    expect(await count()).toBe(1);
    await Promise.all([left.close(), other.close()]);
  });
});

describe.runIf(hasNamespaces)("host sandbox that is closed", () => {
  it("has no process left by then", async () => {
    const seconds = `4${process.pid}`;
    const sandbox = (await makeProvider("auto")).create({ jobId: "j", executionId: "e", image: null });
    await sandbox.open();
    await run(sandbox, `for i in $(seq 20); do setsid sleep ${seconds} >/dev/null 2>&1 & done`);
    await sandbox.close();
    await expect(execute("pgrep", ["-f", `^sleep ${seconds}$`])).rejects.toMatchObject({ stdout: "" });
  });
});

describe("host provider", () => {
  it("says what is not isolated", async () => {
    const provider = await makeProvider("process-group");
    expect(provider.describeIsolation().join("\n")).toMatch(/network[\s\S]*no namespaces/);
  });

  it("refuses a job that wants an image", async () => {
    const provider = await makeProvider("auto");
    expect(() => provider.create({ jobId: "j", executionId: "e", image: "node:24" })).toThrow(
      /works without containers/,
    );
  });
});

function runnerText(workRoot: string, step: string, isolation: "auto" | "process-group"): string {
  const provider = new URL("./host-provider.ts", import.meta.url).href;
  return `import { HostProvider } from ${JSON.stringify(provider)};
    import { startTestGuard } from ${JSON.stringify(import.meta.resolve("../../guard/test-guard.fixture.ts"))};
    import { pino } from ${JSON.stringify(import.meta.resolve("pino"))};
    const lifelines = await startTestGuard();
    const options = { workRoot: ${JSON.stringify(workRoot)}, runnerId: "r", lifelines, isolation: ${JSON.stringify(isolation)} };
    const provider = new HostProvider({ ...options, logger: pino({ level: "silent" }) });
    console.log("guard", lifelines.pid);
    await provider.prepare();
    const sandbox = provider.create({ jobId: "j", executionId: "e", image: null });
    await sandbox.open();
    await sandbox.exec({
      script: ${JSON.stringify(step)}, env: {}, workingDirectory: null, graceMs: 0,
      signal: new AbortController().signal, onOutput: (_, chunk) => void process.stdout.write(chunk),
    });`;
}
