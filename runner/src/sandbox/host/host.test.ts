import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { run, sandboxConformance } from "../conformance.ts";
import { HostProvider } from "./host-provider.ts";

const execute = promisify(execFile);
const folder = join(tmpdir(), `shipfox-host-${process.pid}`);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function makeProvider(isolation: "auto" | "process-group"): Promise<HostProvider> {
  const options = { workRoot: join(folder, isolation), logger: pino({ level: "silent" }), isolation };
  const provider = new HostProvider(options);
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

describe.runIf(hasNamespaces)("host sandbox without its runner", () => {
  it("dies with it: after kill -9 no process of a job is left", async () => {
    const seconds = `3${process.pid}`;
    const script = join(folder, "runner.ts");
    await writeFile(
      script,
      runnerText(join(folder, "killed"), `trap '' TERM HUP; setsid sleep ${seconds} & echo ready; sleep ${seconds}`),
    );
    const runner = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void runner.kill("SIGKILL"));
    await once(runner.stdout, "data");
    const count = async () =>
      Number((await execute("pgrep", ["-c", "-f", `^sleep ${seconds}$`]).catch(() => ({ stdout: "0" }))).stdout);
    await expect.poll(count).toBe(2);

    runner.kill("SIGKILL");

    await expect.poll(count).toBe(0);
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

function runnerText(workRoot: string, step: string): string {
  const provider = new URL("./host-provider.ts", import.meta.url).href;
  return `import { HostProvider } from ${JSON.stringify(provider)};
    import { pino } from ${JSON.stringify(import.meta.resolve("pino"))};
    const provider = new HostProvider({ workRoot: ${JSON.stringify(workRoot)}, logger: pino({ level: "silent" }) });
    await provider.prepare();
    const sandbox = provider.create({ jobId: "j", executionId: "e", image: null });
    await sandbox.open();
    await sandbox.exec({
      script: ${JSON.stringify(step)}, env: {}, workingDirectory: null, graceMs: 0,
      signal: new AbortController().signal, onOutput: (_, chunk) => void process.stdout.write(chunk),
    });`;
}
