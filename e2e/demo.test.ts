import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Child } from "./src/child.ts";
import { freePort, isFree } from "./src/control-plane.ts";
import { thingsOfRunner } from "./src/docker.ts";
import { eventually } from "./src/eventually.ts";
import { Repository } from "./src/repository.ts";
import { processesBelow } from "./src/processes.ts";
import { REPOSITORY_ROOT } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";

// One file for the demo and the README's tour, because both want the port that users get.
const DEFAULT_PORT = 16_101;
const DEMO = `${REPOSITORY_ROOT}/scripts/demo`;
const DEMO_LIMIT_MS = 300_000;

/** What npm and Docker need, and a folder for temporary files in which a leftover is seen. */
function userEnvironment(temporary: string): Record<string, string> {
  const passed = Object.entries(process.env).filter(([name]) =>
    /^(DOCKER_HOST|.*_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  );
  return { ...(Object.fromEntries(passed) as Record<string, string>), TMPDIR: temporary };
}

/** The id that the runner of the demo or the tour puts on its containers, found in the only folder with such a name. */
async function instanceIdIn(temporary: string, prefix: string): Promise<string> {
  return eventually("the runner has an id", async () => {
    const folder = (await readdir(temporary)).find((name) => name.startsWith(prefix));
    return folder && (await readFile(join(temporary, folder, "runner", "instance-id"), "utf8")).trim();
  });
}

async function expectNothingLeft(temporary: string, runnerId: string): Promise<void> {
  expect(await readdir(temporary)).toEqual([]);
  expect(await processesBelow(temporary)).toEqual([]);
  expect(await thingsOfRunner(runnerId)).toEqual([]);
}

describe("[docker] scripts/demo without a terminal", () => {
  const stage = useStage();

  const startDemo = async (args: string[] = []) => {
    const temporary = join(await stage.folder("demo"), "tmp");
    await mkdir(temporary);
    const demo = stage.addChild(new Child("demo", DEMO, args, userEnvironment(temporary)));
    return { demo, temporary };
  };

  /** Waits until the demo's runner is there; answers the id by which its containers are found. */
  const runnerOf = async ({ demo, temporary }: Awaited<ReturnType<typeof startDemo>>) => {
    await demo.printed(/a runner waits for jobs/, DEMO_LIMIT_MS);
    return instanceIdIn(temporary, "shipfox-demo-");
  };

  it("shows a green run and leaves nothing behind, and so does a second one beside it", async () => {
    const first = await startDemo();
    const firstRunner = await runnerOf(first);
    const second = await startDemo();
    const secondRunner = await runnerOf(second);
    expect(second.demo.output).toMatch(/taken|serves http:\/\/localhost:16101/);

    for (const [started, runnerId] of [
      [first, firstRunner],
      [second, secondRunner],
    ] as const) {
      expect((await started.demo.exited).code).toBe(0);
      expect(started.demo.output).toMatch(/succeeded/);
      await expectNothingLeft(started.temporary, runnerId);
    }
  });

  it("takes the port it is told, and says so when it is taken", async () => {
    const port = await freePort();
    const started = await startDemo(["--port", `${port}`]);
    await started.demo.printed(new RegExp(`serves http://localhost:${port}`), DEMO_LIMIT_MS);
    const refused = await startDemo(["--port", `${port}`]);
    expect((await refused.demo.exited).code).not.toBe(0);
    expect(refused.demo.output).toMatch(new RegExp(`Port ${port} is taken`));
    expect(await readdir(refused.temporary)).toEqual([]);
    expect((await started.demo.exited).code).toBe(0);
  });

  it("exits with the result of a red run of any repository", async () => {
    const red = `name: Red\nrunner: linux\ntriggers:\n  by_hand: { source: manual, event: fire }\njobs:\n  job:\n    steps:\n      - run: cat said.txt; exit 3\n`;
    const repository = await Repository.create(stage, {
      ".shipfox/workflows/red.yml": red,
      "said.txt": "said from the repository\n",
    });
    const started = await startDemo(["--repo", repository.folder]);
    const runnerId = await runnerOf(started);
    expect((await started.demo.exited).code).toBe(1);
    expect(started.demo.output).toMatch(/said from the repository/);
    expect(started.demo.output).toMatch(/Red #1 failed/);
    await expectNothingLeft(started.temporary, runnerId);
  });

  it("cleans up when it is told to stop in the middle", async () => {
    const started = await startDemo();
    const runnerId = await runnerOf(started);
    started.demo.signal("SIGTERM");
    expect((await started.demo.exited).code).not.toBe(0);
    await expectNothingLeft(started.temporary, runnerId);
  });
});

describe("[docker] the tour of the README", () => {
  const stage = useStage();

  it("works block after block in one shell, as printed", async () => {
    const temporary = join(await stage.folder("tour"), "tmp");
    await mkdir(temporary);
    const tour = await readTour();
    // Only where something else on this machine has the port is it another one.
    const port = (await isFree(DEFAULT_PORT)) ? DEFAULT_PORT : await freePort();
    const script = tour.replaceAll(`localhost:${DEFAULT_PORT}`, `localhost:${port}`);
    const env = { ...userEnvironment(temporary), PORT: `${port}` };
    const shell = stage.addChild(
      new Child("tour", "bash", ["-e", "-o", "pipefail", "-c", script], env, REPOSITORY_ROOT),
    );

    // The runner's folder goes away at the end of the tour; a tour that fails has none to wait for.
    const runnerId = await Promise.race([instanceIdIn(temporary, "tmp."), shell.exited.then(() => "")]);
    expect(await shell.exited).toEqual({ code: 0, signal: null });
    for (const line of [1, 2, 3, 4, 5]) expect(shell.output).toContain(`line ${line} of Shop`);
    expect(shell.output).toMatch(/^CI succeeded$/m);
    expect(shell.output).toMatch(/^Slow cancelled$/m);
    await expectNothingLeft(temporary, runnerId);
  });
});

/** The shell blocks between the tour's marks. */
async function readTour(): Promise<string> {
  const readme = await readFile(join(REPOSITORY_ROOT, "README.md"), "utf8");
  const [, tour = ""] = /<!-- tour:begin -->([^]*)<!-- tour:end -->/.exec(readme) ?? [];
  const blocks = [...tour.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block);
  expect(blocks.length).toBeGreaterThan(5);
  return blocks.join("\n");
}
