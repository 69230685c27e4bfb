import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { ACCOUNT, Instance, type ProjectHandle, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";
import { UserTerminal } from "./src/user-terminal.ts";

const SIZE = { columns: 100, rows: 24 };
const SMALL = { columns: 50, rows: 9 };
const ENDLESS = workflow(
  "Endless",
  `  talk:
    steps:
      - name: Greet
        run: echo hello
      - name: Work
        run: for i in $(seq 1 40); do echo "part $i of a line that is longer than a small terminal is wide"; done; sleep 600
  later:
    needs: talk
    steps:
      - run: echo later
`,
);
const RED = workflow("Red", "  job:\n    steps:\n      - name: Break\n        run: echo before the end; exit 3\n");

describe("the command line on a real terminal", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let terminal: UserTerminal;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project({ "endless.yml": ENDLESS, "red.yml": RED });
    await instance.runner({ name: "build-1" });
    terminal = await UserTerminal.open(stage, SIZE);
  });

  it("asks for address and password to sign in, and does not show the password", async () => {
    await terminal.enter(`shipfox login --url ${instance.plane.url}`);
    await terminal.shows(/E-mail address/);
    await terminal.enter(ACCOUNT.email);
    await terminal.shows(/Password/);
    await terminal.enter(ACCOUNT.password);
    const screen = (await terminal.shows(/Signed in to .* as ada@example\.com/)).join("\n");
    expect(screen).not.toContain(ACCOUNT.password);
  });

  it("draws a run as a tree within the terminal, and anew when its size changes", async () => {
    await terminal.enter("shipfox run endless --follow");
    const screen = await terminal.shows(/● Work[^]*part 40/);
    expect(screen).toHaveLength(SIZE.rows);
    expect(screen[0]).toMatch(/^● Endless #1 running/);
    expect(screen[1]).toMatch(/0 of 2 jobs · 1 running, 1 pending$/);
    expect(screen.join("\n")).toMatch(/● talk running .*on build-1\n {2}✓ .*\n(?: {2}✓ .*\n)* {2}● Work /);
    expect(screen.join("\n")).toMatch(/○ later pending/);
    await terminal.resize(SMALL);
    const small = await terminal.shows(/^● Endless #1 running[^]*│ part 40 of [^\n]*…\n/);
    expect(small).toHaveLength(SMALL.rows);
    expect(small.join("\n").trimEnd()).toMatch(/Ctrl-C stops watching, not the run$/);
    await terminal.resize(SIZE);
    await terminal.shows(/● Work[^]*part 40 of a line that is longer than a small terminal is wide\n/);
  });

  it("gives the terminal back on Ctrl-Z too, and takes it again", async () => {
    await terminal.press("C-z");
    const stopped = (await terminal.shows(/Signed in to[^]*Stopped/)).join("\n");
    expect(stopped).not.toContain("● Work");
    await terminal.enter("fg");
    expect((await terminal.shows(/^● Endless #1 running/)).join("\n")).toContain("● Work");
  });

  it("gives the terminal back on Ctrl-C with what stood there, and the run goes on", async () => {
    await terminal.press("C-c");
    const screen = (await terminal.shows(/Stopped watching; the run goes on\./)).join("\n");
    expect(screen).toContain("Signed in to");
    expect(screen).toMatch(/watch again: shipfox runs watch [\w-]{36}\n.*\n +cancel it: +shipfox runs cancel/);
    const { runs } = await instance.api.client.runs.list({ project_id: project.id });
    expect(runs.map(({ status }) => status)).toEqual(["running"]);
  });

  it("ends the view of a run that somebody cancels, with exit code 2 and the tree left on the terminal", async () => {
    await terminal.enter(`clear; shipfox runs watch 'endless#1'; echo "exit code: $?"`);
    await terminal.shows(/Ctrl-C stops watching/);
    const { runs } = await instance.api.client.runs.list({ project_id: project.id });
    await instance.api.client.runs.cancel({ id: runs[0]?.id ?? "", force: true });
    const screen = (await terminal.shows(/exit code: \d/)).join("\n");
    expect(screen).toContain("exit code: 2");
    expect(screen).toMatch(/⊘ Endless #1 cancelled/);
    expect(screen).toMatch(/next: shipfox logs/);
  });

  it("leaves the end of the log of a step that failed, and exits with 1", async () => {
    await terminal.enter(`clear; shipfox run red --follow; echo "exit code: $?"`);
    const screen = (await terminal.shows(/exit code: \d/)).join("\n");
    expect(screen).toContain("exit code: 1");
    expect(screen).toMatch(/The end of the log of job, Break:\n(?:│.*\n)*│ before the end\n/);
    expect(screen).toMatch(/✗ Red #1 failed/);
  });
});
