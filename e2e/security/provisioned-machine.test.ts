import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setSecretsReplySchema } from "@shipfox/shared/api/scoped-values";
import { expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { DockerMachines } from "../src/docker-machines.ts";
import { eventually } from "../src/eventually.ts";
import { HandProvisioner } from "../src/hand-provisioner.ts";
import { Instance, jobOf, runSteps, workflow } from "../src/instance.ts";
import { printedIn } from "../src/log-stream.ts";
import { useStage } from "../src/stage.ts";

const reversed = (text: string) => Array.from(text).reverse().join("");
const HERE = "END-OF-HUNT";

const stage = useStage();

/** Its runner is root and its steps are the job's user, as on every machine whose image is the job's image. */
it(`${attack(1, "[docker] in a provisioned container")}; ${attack(4, "[docker] in a provisioned container")}`, async () => {
  const machines = await DockerMachines.create(stage);
  const port = await freePort();
  const url = `http://${machines.gateway}:${port}`;
  const plane = await ControlPlane.start(stage, { env: { SHIPFOX_ALSO_LISTEN: `${machines.gateway}:${port}` } });
  const instance = await Instance.create(stage, plane);
  const provisioner = await HandProvisioner.create(instance);
  stage.onEnd(() => machines.removeAll(provisioner));
  await provisioner.demand();
  const planned = await provisioner.plan();
  const known = {
    secret: `canary-secret-${randomUUID()}`,
    decoy: `canary-decoy-${randomUUID()}`,
    registration: planned.registration_token,
  };
  await instance.api.post(setSecretsReplySchema, `/workspaces/${instance.workspaceId}/secrets:batch`, {
    entries: [{ key: "TOKEN", value: known.secret }],
  });
  const project = await instance.project({ "hunt.yml": await hunt(url, known) });
  const runId = await instance.fire(project, "Hunt");
  await machines.create(provisioner, planned, { SHIPFOX_API_URL: url, SHIPFOX_RUNNER_LABELS: "linux" });

  const run = await instance.waitForRun(runId);
  const [user, hunter, control] = await Promise.all(
    runSteps(jobOf(run, "job")).map(async ({ id, status }) => ({ status, log: printedIn(await instance.logText(id)) })),
  );
  expect(user?.log).toContain(`used ${known.secret.length} as 10001`);
  expect([hunter?.status, hunter?.log]).toEqual(["succeeded", expect.stringMatching(/^HUNTED/m)]);
  expect(hunter?.log.split("\n").filter((line) => /^FOUND|^CONNECTED/.test(line))).toEqual([]);
  const counts = JSON.parse(/^HUNTED (.*)/m.exec(hunter?.log ?? "")?.[1] ?? "{}") as Record<string, number>;
  for (const [what, least] of [
    ["processes", 1],
    ["memories", 0],
    ["files", 100],
    ["calls", 100],
  ] as const)
    expect(counts[what]).toBeGreaterThan(least);
  // The same hunt finds what was put where it looks.
  expect(control?.log).toContain("FOUND environ of a process holds decoy");
  expect(control?.log).toContain("FOUND the memory of a process holds decoy");
  await eventually("the container has ended", async () =>
    (await machines.list(provisioner)).every(({ state }) => state === "stopped"),
  );
});

async function hunt(url: string, known: Readonly<Record<string, string>>): Promise<string> {
  const script = await readFile(new URL("../fixtures/hunt.mjs", import.meta.url), "utf8");
  const backwards = Object.entries(known).map(([name, value]) => [name, reversed(value)]);
  const files = [
    `cat > hunt.mjs <<'${HERE}'`,
    ...script.trimEnd().split("\n"),
    HERE,
    `cat > canaries.json <<'${HERE}'`,
    JSON.stringify(Object.fromEntries(backwards)),
    HERE,
  ];
  return workflow(
    "Hunt",
    `  job:
    checkout: false
    steps:
      - run: echo "used \${#TOKEN} as $(id -u)"
        env: { TOKEN: "\${{ secrets.TOKEN }}" }
      - run: |
${files.map((line) => `          ${line}`).join("\n")}
          node hunt.mjs ${url} /
      - run: |
          export DECOY="$(echo '${reversed(known["decoy"] ?? "")}' | rev)"; sleep 60 &
          node hunt.mjs ${url} .
`,
  );
}
