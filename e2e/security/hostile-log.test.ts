import { logPageSchema } from "@shipfox/shared/api/logs";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { Cli } from "../src/cli.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { ACCOUNT, Instance, jobOf, type ProjectHandle, runSteps, workflow } from "../src/instance.ts";
import { followLog, outputOf, printedIn } from "../src/log-stream.ts";
import { useStage } from "../src/stage.ts";

/** Each would do something to a naive terminal, page, parser or stream of events. */
const HOSTILE = [
  "\u001b[2J\u001b[1;1H\u001b[31mred\u001b[0m\u001b[8mhidden\u001b[0m",
  "\u001b]0;title\u0007 \u001b]8;;https://evil.example\u001b\\link\u001b]8;;\u001b\\ \u001b]52;c;ZXZpbA==\u0007",
  "\u009b2J\u009d0;c1 title\u009c \u0090q\u009c \u001bP1;1|00/41\u001b\\ \u001b_payload\u001b\\",
  "\u202egnp.exe\u202c \u2066isolated\u2069 \u200f\u061c",
  "before\roverwritten\u0008\u0008\u007f\u0000\u0007",
  '<script>alert(1)</script><img src=x onerror="alert(1)"><!--',
  '{"v":1,"ts":1,"type":"runner_lost"}',
  '{"v":1,"ts":1,"type":"capped"}',
  '{"v":1,"ts":1,"type":"end","total_bytes":0}',
  '{"v":1,"ts":1,"type":"group_start","group_id":"x","parent_group_id":null,"name":"forged"}',
  "event: end\ndata: {}\n\nid: 999999\nretry: 1\n",
  "[… the runner was lost, the log ends here …]",
  "::set-env name=EVIL::1",
  "::set-output name=evil::1",
  "::add-mask::ordinary",
  "::add-path::/evil",
  "::endgroup::",
  "::endgroup::",
  "ordinary \u2028 separators \u2029 \u0085 end",
].join("\n");

const SEQUENCES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

const PRINT = workflow(
  "Hostile log",
  `  job:
    checkout: false
    steps:
      - name: ${JSON.stringify("\u202egnp <script>alert(1)</script>")}
        run: node -e 'process.stdout.write(Buffer.from(process.argv[1], "base64"))' ${Buffer.from(`${HOSTILE}\n`).toString("base64")}
      - name: Later
        run: echo "evil [$EVIL]"; echo "$PATH" | grep -c evil || true
`,
);

describe("a hostile log", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "print.yml": PRINT });
    await instance.runner();
  });

  it(`${attack(15, "through the runner, the API, its stream and the command line")}`, async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Hostile log"));
    expect(run.status).toBe("succeeded");
    const [step, later] = runSteps(jobOf(run, "job"));
    if (!step || !later) throw new Error("the job has two steps");

    // What was printed is data: it made no record but output, and the groups that are the runner's own.
    const records = await instance.logRecords(step.id);
    expect(records.map(({ type }) => type).filter((type) => ["runner_lost", "capped", "gap"].includes(type))).toEqual(
      [],
    );
    expect(records.filter(({ type }) => type === "end")).toHaveLength(1);
    expect(records.at(-1)?.type).toBe("end");
    expect(JSON.stringify(records.filter(({ type }) => type === "group_start"))).not.toContain("forged");
    const followed = await followLog(instance.api, step.id);
    expect(followed).toEqual(records);
    expect(printedIn(outputOf(records))).toContain('{"v":1,"ts":1,"type":"runner_lost"}\n');
    expect(printedIn(await instance.logText(later.id))).toBe("evil []\n0\n");
    expect(step.outputs ?? {}).toEqual({});

    const page = await instance.api.call("GET", `/steps/${step.id}/attempts/1/logs`);
    expect(logPageSchema.parse(page.body).ndjson.trimEnd().split("\n").length).toBe(records.length);
    const raw = await instance.api.call("GET", `/steps/${step.id}/attempts/1/logs/raw`);
    for (const { headers } of [page, raw]) {
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    }
    expect(raw.headers.get("content-type")).toMatch(/^text\/plain/);

    const cli = await Cli.create(stage);
    const signedIn = await cli.runWith(
      { input: `${ACCOUNT.password}\n` },
      "login",
      "--url",
      plane.url,
      "--email",
      ACCOUNT.email,
      "--password-stdin",
    );
    expect([signedIn.code, signedIn.stderr]).toEqual([0, expect.anything()]);
    for (const args of [
      ["logs", run.id],
      ["runs", "view", run.id],
    ]) {
      const { code, stdout, stderr } = await cli.run(...args);
      expect([args, code]).toEqual([args, 0]);
      for (const line of `${stdout}${stderr}`.split("\n")) expect(line).not.toMatch(SEQUENCES);
    }
    const json = (await cli.json("logs", run.id)) as { logs: { records: unknown[] }[] };
    expect(json.logs.length).toBeGreaterThan(1);
  });
});
