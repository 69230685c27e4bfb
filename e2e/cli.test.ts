import { runDetailSchema, runsReplySchema } from "@shipfox/shared/api/runs";
import { runnersReplySchema } from "@shipfox/shared/api/runners";
import { beforeAll, describe, expect, it } from "vitest";
import { Cli } from "./src/cli.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { workflow } from "./src/instance.ts";
import { Repository } from "./src/repository.ts";
import { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

const PASSWORD = "correct horse battery";
const LINES = 20;
const GREEN = workflow(
  "Green",
  `  build:
    steps:
      - name: Count
        run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.05; done
  test:
    needs: build
    steps:
      - run: echo tested
`,
);
const RED = workflow("Red", "  job:\n    steps:\n      - run: echo before; exit 3\n");
const ENDLESS = workflow("Endless", "  job:\n    steps:\n      - run: echo begun; sleep 600\n");
const BAD = "name: Bad\nrunner: linux\njobs:\n  job:\n    stepz: []\n";

describe("the command line, from an empty instance to results", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let cli: Cli;
  let repository: Repository;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    cli = await Cli.create(stage);
    repository = await Repository.create(stage, {
      ".shipfox/workflows/green.yml": GREEN,
      ".shipfox/workflows/red.yml": RED,
      ".shipfox/workflows/endless.yml": ENDLESS,
    });
  });

  it("says what to do while nobody is signed in", async () => {
    const { code, stderr } = await cli.run("runs", "list");
    expect(code).toBe(69);
    expect(stderr).toContain("shipfox login");
  });

  it("makes the first account and signs in with its password", async () => {
    const account = ["--url", plane.url, "--email", "ada@example.com", "--password-stdin"];
    const signup = await cli.runWith({ input: PASSWORD }, "login", "--signup", "--name", "Ada", ...account);
    expect(signup).toMatchObject({ code: 0 });
    expect(await cli.runWith({ input: "wrong password" }, "login", ...account)).toMatchObject({ code: 69 });
    expect(await cli.runWith({ input: `${PASSWORD}\n` }, "login", ...account)).toMatchObject({ code: 0 });
    expect((await cli.run("whoami")).stdout).toContain("ada@example.com");
  });

  it("makes a workspace and a project from a repository", async () => {
    expect(await cli.run("workspaces", "create", "Team")).toMatchObject({ code: 0 });
    const created = await cli.run("projects", "create", "--repo", repository.folder, "--name", "Sample");
    expect(created).toMatchObject({ code: 0 });
    expect(created.stdout + created.stderr).toMatch(/Green/);
    expect((await cli.run("projects", "list")).stdout).toContain("sample");
  });

  it("adds a runner with the token of the line that it prints, and lists it", async () => {
    const { code, stdout } = await cli.run("runners", "add", "--name", "build-hosts");
    expect(code).toBe(0);
    const token = /sf_mrt_[\w-]{43}/.exec(stdout)?.[0];
    expect(stdout).toContain(`runner/bin/shipfox-runner --api-url ${plane.url} --labels linux`);
    await Runner.start(stage, { apiUrl: plane.url, token: token ?? "", name: "build-1" });
    expect((await cli.run("runners", "list")).stdout).toMatch(/build-1/);
    const listed = runnersReplySchema.parse(await cli.json("runners", "list"));
    expect(listed.runners.map(({ name, state }) => [name, state])).toEqual([["build-1", "online"]]);
  });

  it("follows a green run line by line and exits with 0", async () => {
    const { code, stdout, stderr } = await cli.run("run", "green", "--follow");
    expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
    const printed = stdout.match(/^\[build\] +line \d+$/gm)?.map((line) => line.replace(/^\[build\] +/, ""));
    expect(printed).toEqual(Array.from({ length: LINES }, (_, index) => `line ${index + 1}`));
    expect(stdout).toMatch(/\[test\] +tested/);
    expect(stdout).toMatch(/Green #1 succeeded/);
  });

  it("follows a red run and exits with 1", async () => {
    const { code, stdout } = await cli.run("run", "red", "--follow");
    expect(code).toBe(1);
    expect(stdout).toMatch(/\[job\] +before/);
    expect(stdout).toMatch(/Red #1 failed/);
  });

  it("follows as JSON, one object a line, the result last", async () => {
    const { code, stdout } = await cli.run("run", "Green", "--follow", "--json", "--input", "who=world");
    expect(code).toBe(0);
    const events = stdout.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(["run", "job", "execution", "step", "log", "log_end", "result"]),
    );
    expect(events.at(-1)).toMatchObject({ type: "result", status: "succeeded", number: 2 });
  });

  it("lists and shows runs", async () => {
    expect((await cli.run("runs", "list")).stdout).toMatch(/Red.*\n(.*\n)*.*Green/);
    const { runs } = runsReplySchema.parse(await cli.json("runs", "list", "--status", "failed"));
    expect(new Set(runs.map(({ status }) => status))).toEqual(new Set(["failed"]));
    const id = runs.find(({ name }) => name === "Red")?.id ?? "";
    const view = await cli.run("runs", "view", id);
    expect(view.stdout).toMatch(/exited with code 3|exit code 3|exit 3/);
    expect(runDetailSchema.parse(await cli.json("runs", "view", id)).status).toBe("failed");
  });

  it("prints logs: as they come, raw, and of one step", async () => {
    const { runs } = runsReplySchema.parse(await cli.json("runs", "list", "--workflow", "green"));
    const id = runs[0]?.id ?? "";
    const raw = await cli.run("logs", id, "--job", "build", "--step", "Count", "--raw");
    expect(raw.stdout.match(/^line \d+$/gm)).toEqual(Array.from({ length: LINES }, (_, index) => `line ${index + 1}`));
    expect(raw.stdout).not.toMatch(/^\[build\]/m);
    const followed = await cli.run("logs", id, "-f");
    expect(followed.code).toBe(0);
    expect(followed.stdout).toMatch(/\[build\] +line 20\n/);
    expect(followed.stdout).toMatch(/\[test\] +tested/);
  });

  it("cancels a run that somebody follows; the follower exits with 2", async () => {
    const started = (await cli.json("run", "endless")) as { workflow_run_id: string };
    const following = cli.run("logs", started.workflow_run_id, "-f");
    const cancelled = await cli.run("runs", "cancel", started.workflow_run_id);
    expect(cancelled).toMatchObject({ code: 0 });
    expect((await following).code).toBe(0);
    expect((await cli.run("runs", "view", started.workflow_run_id)).stdout).toMatch(/cancelled/);
    expect((await cli.run("runs", "cancel", started.workflow_run_id)).code).toBe(69);

    const follower = cli.run("run", "endless", "--follow");
    for (let id: string | undefined; id === undefined; ) {
      const { runs } = runsReplySchema.parse(await cli.json("runs", "list", "--workflow", "endless"));
      id = runs.find(({ status }) => status === "pending" || status === "running")?.id;
      if (id !== undefined) await cli.run("runs", "cancel", id);
    }
    expect((await follower).code).toBe(2);
  });

  it("validates the files of a folder and points at the fault", async () => {
    const good = await cli.runWith({ cwd: repository.folder }, "validate");
    expect(good.code).toBe(0);
    await repository.commit({ ".shipfox/workflows/bad.yml": BAD });
    const bad = await cli.runWith({ cwd: repository.folder }, "validate");
    expect(bad.code).toBe(1);
    expect(bad.stdout + bad.stderr).toMatch(/bad\.yml:5:5: .*stepz/);
    const synced = await cli.run("projects", "sync");
    expect(synced.code).toBe(1);
    expect(synced.stdout + synced.stderr).toMatch(/bad\.yml/);
  });

  it("names what is wrong with a name, and keeps JSON for errors too", async () => {
    const missing = await cli.run("run", "nothing");
    expect(missing.code).toBe(64);
    expect(missing.stderr).toMatch(/Green/);
    const { code, stdout } = await cli.run("runs", "view", "99", "--json");
    expect(code).toBe(64);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } });
  });

  it("drains and revokes a runner", async () => {
    const token = /sf_mrt_[\w-]{43}/.exec((await cli.run("runners", "add")).stdout)?.[0] ?? "";
    const runner = await Runner.start(stage, { apiUrl: plane.url, token, name: "build-2" });
    expect(await cli.run("runners", "drain", "build-2")).toMatchObject({ code: 0 });
    expect((await runner.child.exited).code).toBe(0);
    expect(await cli.run("runners", "revoke", "build-2")).toMatchObject({ code: 0 });
    expect((await cli.run("runners", "list")).stdout).toMatch(/build-2.*revoked/);
  });

  it("invites somebody who then has an account and a role, and removes her", async () => {
    const first = (await cli.json("members", "invite", "eve@example.com", "--role", "viewer")) as { link: string };
    const { link } = (await cli.json("members", "resend", "eve@example.com")) as { link: string };
    expect((await cli.run("members", "list")).stdout).toMatch(/eve@example\.com.*viewer.*invited/);
    const hers = await Cli.create(stage);
    const signUp = ["login", "--url", plane.url, "--signup", "--name", "Eve", "--email", "eve@example.com"];
    const closed = await hers.runWith({ input: PASSWORD }, ...signUp, "--password-stdin");
    expect([closed.code, closed.stderr]).toEqual([69, expect.stringContaining("invitation")]);
    const outdated = { input: PASSWORD, env: { SHIPFOX_INVITATION: first.link } };
    expect((await hers.runWith(outdated, ...signUp, "--password-stdin")).stderr).toContain(
      "(invitation-token-invalid)",
    );
    const joined = await hers.runWith(
      { input: PASSWORD, env: { SHIPFOX_INVITATION: link } },
      ...signUp,
      "--password-stdin",
    );
    expect(joined).toMatchObject({ code: 0 });
    expect((await hers.run("runs", "list")).code).toBe(0);
    expect((await hers.run("members", "invite", "more@example.com")).code).toBe(69);
    expect(await cli.run("members", "role", "eve@example.com", "admin")).toMatchObject({ code: 0 });
    expect((await hers.run("members", "list")).stdout).toMatch(/eve@example\.com.*admin/);
    expect((await hers.runWith({ input: link }, "members", "accept")).stderr).toContain("accepted before");
    expect(await cli.run("members", "remove", "eve@example.com")).toMatchObject({ code: 0 });
    expect((await hers.run("runs", "list")).code).toBe(64);
  });

  it("renames and limits the workspace, tells its usage, and deletes it", async () => {
    expect(await cli.run("workspaces", "rename", "Crew", "--slug", "crew")).toMatchObject({ code: 0 });
    expect((await cli.run("workspaces", "list")).stdout).toMatch(/^crew +Crew +owner/m);
    expect(await cli.run("workspaces", "limit", "3")).toMatchObject({ code: 0 });
    const usage = await cli.run("usage", "--from", "24h");
    expect(usage.stdout).toMatch(/^runs +\d+: .*\d+ failed/m);
    expect(usage.stdout).toMatch(/^runs at once +3$/m);
    expect((await cli.run("audit", "--action", "workspace.limits_changed")).stdout).toContain("ada@example.com");
    expect(await cli.run("workspaces", "delete", "crew", "--yes")).toMatchObject({ code: 0 });
    expect((await cli.run("usage")).code).toBe(64);
  });

  it("signs out", async () => {
    expect(await cli.run("logout")).toMatchObject({ code: 0 });
    expect((await cli.run("runs", "list")).code).toBe(69);
  });
});
