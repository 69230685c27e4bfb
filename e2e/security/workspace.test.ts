import { lstat, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { annotationsReplySchema } from "@shipfox/shared/api/annotations";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, jobOf, type ProjectHandle, runSteps, workflow } from "../src/instance.ts";
import { printedIn } from "../src/log-stream.ts";
import { processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const RACES = 3;
const LEFT_RUNNING = "86399";
const HOME_OF_CANARY = "SHIPFOX_TEST_CANARY";

const job = (steps: string) => `  job:\n    checkout: false\n    steps:\n${steps}`;

/** Swaps folders for links to the canary's folder until it is killed, by every name that a clean-up may come by. */
const racing = (canary: string) =>
  workflow(
    "Racing",
    job(`      - run: |
          set +e; ln -sfn '${canary}' link; ln -s '${canary}' plain-link; mkdir -p a/b/c; touch a/b/c/file
          swap() { trap '' TERM HUP INT; while :; do mv -T a a2; mv -T link a; mv -T a link; mv -T a2 a; mkdir -p a/b/c/d; done; }
          swap_self() { trap '' TERM HUP INT; while :; do mv -T "$PWD/x" "$PWD/y"; ln -sfn '${canary}' "$PWD/x"; rm -f "$PWD/x"; mkdir -p "$PWD/x/z"; done; }
          for i in 1 2 3; do (swap >/dev/null 2>&1 &); (setsid bash -c "$(declare -f swap_self); swap_self" >/dev/null 2>&1 &); done
          ln -sfn '${canary}' "$HOME/link" 2>/dev/null; ln -sfn '${canary}' "$(dirname "$SHIPFOX_OUTPUT")/link" 2>/dev/null; echo swapping
`),
  );

/** One step for each file that the runner reads, with the file replaced; the next steps must run as if nothing had been said. */
const handing = (canary: string) => {
  const files = ["OUTPUT", "ENV", "PATH", "STEP_SUMMARY", "POST_JOB"];
  const ways: Record<string, string> = {
    link: `ln -sfn '${canary}/file' "$f"`,
    fifo: 'mkfifo "$f"',
    folder: 'mkdir "$f"',
    huge: 'truncate -s 20G "$f"',
    device: 'ln -s /dev/zero "$f"',
    socket: `node -e 'require("net").createServer().listen(process.argv[1], () => process.exit(0))' "$f" || true`,
    proc: 'ln -s /proc/self/environ "$f"',
    sparse: 'dd if=/dev/zero of="$f" bs=1M count=3 2>/dev/null',
  };
  const jobs = Object.entries(ways).map(
    ([name, replace]) => `  ${name}:
    checkout: false
    steps:
      - run: |
          set +e
          for n in ${files.join(" ")}; do v="SHIPFOX_$n"; f="\${!v}"; rm -rf "$f"; ${replace}; done
          d="$SHIPFOX_ANNOTATIONS_DIR"; f="$d/1.json"; ${replace}; ln -s '${canary}/file' "$d/2.json"; mkfifo "$d/3.json"; mkdir "$d/4.json"
          ln "$d/2.json" "$d/5.json"; ln -s /proc/self/mem "$d/6.json"; f="$d/$(printf 'x%.0s' $(seq 1 250))"; ${replace}
          echo handed over
`,
  );
  const replaced = `  swapped:
    checkout: false
    steps:
      - run: |
          set +e
          f="$SHIPFOX_ANNOTATIONS_DIR"; rm -rf "$f"; ln -s '${canary}' "$f"
          (trap '' TERM HUP; o="$SHIPFOX_OUTPUT"; while :; do ln -sfn '${canary}/file' "$o"; rm -f "$o"; echo a=b > "$o"; done >/dev/null 2>&1 &)
          echo handed over
`;
  return workflow("Handing over", [...jobs, replaced].join(""));
};

/** Waits with everything that a careless git, or a careless copy, would run or follow. Each checkout is made whatever became of the others. */
const trapped = (canary: string) => {
  const checkouts = [
    "path: lib",
    "path: deep/down",
    "path: inner/lib",
    "path: lib, force: true",
    "path: race/lib",
    "path: race/lib, force: true",
    "path: race, force: true",
    "path: race/a/b/c, force: true",
    "path: ., force: true",
  ];
  return workflow(
    "Trapped",
    `  job:
    steps:
      - run: |
          set +e; pwn='touch ${canary}/pwned'
          for name in post-checkout post-index-change reference-transaction fsmonitor-watchman; do
            printf '#!/bin/sh\\n%s\\n' "$pwn" > ".git/hooks-of-job-$name"; mkdir -p .git/hooks; cp ".git/hooks-of-job-$name" ".git/hooks/$name"; chmod +x ".git/hooks/$name"
          done
          for scope in --global --local; do
            for key in core.fsmonitor core.sshCommand core.askPass credential.helper filter.trap.smudge filter.trap.process; do git config $scope $key "$pwn"; done
            git config $scope core.hooksPath "$PWD/.git/hooks"; git config $scope init.templateDir "$PWD/.git"; git config $scope core.worktree '${canary}'
          done
          echo '* filter=trap' > .gitattributes; ln -s '${canary}' lib; ln -s '${canary}' deep; mkdir real; ln -s real inner
          ln -s '${canary}' link; mkdir race
          swap() { trap '' TERM HUP INT; while :; do mv -T race away; mv -T link race; mv -T race link; mv -T away race; mkdir -p race/a; done; }
          for i in 1 2 3; do (swap >/dev/null 2>&1 &); done
${checkouts.map((checkout) => `      - { if: "\${{ true }}", checkout: { ${checkout} } }\n`).join("")}      - { if: "\${{ true }}", run: echo over }
`,
  );
};

/** Every folder of the machine that anybody may write is the machine's on the host, and the runner says so. */
const OWN_FOLDERS = '"${TMPDIR:-.}" "$HOME" "$PWD" "$(dirname "$SHIPFOX_OUTPUT")"';
const ALL_FOLDERS = `${OWN_FOLDERS} /tmp /dev/shm /var/tmp /run /usr/local/bin /etc /mnt /srv /opt`;

const first = (folders: string) =>
  workflow(
    "First",
    job(`      - run: |
          set +e; date +%s > started
          for d in ${folders}; do touch "$d/trace-of-first" 2>/dev/null; done
          echo "export TRACE=of-first" >> "$HOME/.bashrc"; echo "export TRACE=of-first" >> "$HOME/.profile"; git config --global user.name trace-of-first
          mkdir -p "$HOME/.ssh" && echo trace-of-first > "$HOME/.ssh/authorized_keys"
          (crontab -l; echo "* * * * * true trace-of-first") 2>/dev/null | crontab - 2>/dev/null; echo "true trace-of-first" | at now 2>/dev/null
          (env -i setsid sleep ${LEFT_RUNNING} >/dev/null 2>&1 &); (setsid node -e 'require("net").createServer((s) => s.end("trace-of-first")).listen(7999, "0.0.0.0")' >/dev/null 2>&1 &)
          echo "TRACE=of-first" >> "$SHIPFOX_ENV"
          ipcmk -M 100 >/dev/null 2>&1; ipcmk -Q >/dev/null 2>&1; echo done
`),
  );
const second = (folders: string) =>
  workflow(
    "Second",
    job(`      - run: |
          set +e
          echo "env [$TRACE]"; bash -lc 'echo "shell [$TRACE]"'; git config --global user.name
          ls -A "$HOME/.ssh" ${folders} 2>/dev/null | grep trace
          crontab -l 2>/dev/null | grep trace; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 8639[9]'
          node -e 'require("net").connect(7999, "127.0.0.1").on("data", (d) => console.log(String(d))).on("error", () => {})'
          tail -n +2 /proc/sysvipc/shm; tail -n +2 /proc/sysvipc/msg; echo looked
`),
  );

describe.each([
  { sandbox: "docker" as const, tag: "[docker]", folders: ALL_FOLDERS },
  { sandbox: "host" as const, tag: "[host]", folders: OWN_FOLDERS },
])("$tag the files of a job in the $sandbox sandbox", ({ sandbox, folders }) => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let runner: Runner;
  let canary: string;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    canary = await stage.folder("canary");
    await writeFile(join(canary, "file"), `${HOME_OF_CANARY}=alive\n`);
    project = await instance.project({
      "racing.yml": racing(canary),
      "handing.yml": handing(canary),
      "trapped.yml": trapped(canary),
      "first.yml": first(folders),
      "second.yml": second(folders),
    });
    runner = await instance.runner({ sandbox });
  });

  async function canaryLives(): Promise<void> {
    expect(await readdir(canary)).toEqual(["file"]);
    expect(await readFile(join(canary, "file"), "utf8")).toBe(`${HOME_OF_CANARY}=alive\n`);
    const { uid, mode } = await lstat(join(canary, "file"));
    expect([uid, mode & 0o777]).toEqual([process.getuid?.(), 0o644]);
  }

  it(`${attack(8, sandbox)}`, async () => {
    for (let race = 0; race < RACES; race++) {
      const runId = await instance.fire(project, "Racing");
      expect((await instance.waitForRun(runId)).status).toBe("succeeded");
      await canaryLives();
    }
    await eventually("the places of the racing jobs are gone", async () => (await placesLeft()) === 0);
    await canaryLives();
  });

  it(`${attack(9, sandbox)}`, async () => {
    const runId = await instance.fire(project, "Handing over");
    const run = await instance.waitForRun(runId);
    for (const { key, job_executions } of run.jobs) {
      expect([key, job_executions.length]).toEqual([key, 1]);
      const [step] = runSteps(jobOf(run, key));
      expect([key, step?.exit_code]).toEqual([key, 0]);
      const log = await instance.logText(step?.id ?? "");
      expect(log).toContain("handed over\n");
      expect(log).not.toContain("=alive");
    }
    const { annotations } = await instance.api.get(
      annotationsReplySchema,
      `/annotations?workflow_run_id=${runId}&attempt=1`,
    );
    for (const text of [JSON.stringify(annotations), JSON.stringify(run), runner.child.output]) {
      expect(text).not.toContain(HOME_OF_CANARY);
    }
    await canaryLives();
  });

  it(`${attack(33, sandbox)}`, async () => {
    for (let race = 0; race < RACES; race++) {
      const run = await instance.waitForRun(await instance.fire(project, "Trapped"));
      const [execution, ...more] = jobOf(run, "job").job_executions;
      expect(more).toEqual([]);
      const ends = execution?.steps.slice(2, -1).map(({ status, error }) => error?.reason ?? status) ?? [];
      const invalid = "checkout_path_invalid";
      expect(ends.slice(0, 4)).toEqual([invalid, invalid, invalid, "succeeded"]);
      // Who wins a race decides what becomes of the job's own files, and nothing else.
      const won = ["succeeded", invalid, "checkout_destination_occupied", "checkout_failed"];
      for (const end of ends.slice(4)) expect(won).toContain(end);
      expect(execution?.steps.at(-1)?.status).toBe("succeeded");
      await canaryLives();
    }
  });

  it(`${attack(12, sandbox)}`, async () => {
    const images = sandbox === "docker" ? (await docker.listImages({ all: true })).length : 0;
    const before = await instance.waitForRun(await instance.fire(project, "First"));
    expect(before.status).toBe("succeeded");
    const after = await instance.waitForRun(await instance.fire(project, "Second"));
    const log = printedIn(await instance.logText(runSteps(jobOf(after, "job"))[0]?.id ?? ""));
    expect(log).toBe("env []\nshell []\nlooked\n");
    expect(await processesWith(LEFT_RUNNING)).toEqual([]);
    await eventually("the places of both jobs are gone", async () => (await placesLeft()) === 0);
    // Nothing of a job is kept as a layer or a volume.
    if (sandbox === "docker") expect((await docker.listImages({ all: true })).length).toBeLessThanOrEqual(images);
  });

  /** Folders of jobs that the runner still has, without those that wait for the next ones. */
  async function placesLeft(): Promise<number> {
    const places = await readdir(join(runner.stateDir, "work", "places")).catch(() => []);
    const warm = sandbox === "docker" ? 1 : 0;
    return Math.max(0, places.length - warm);
  }
});
