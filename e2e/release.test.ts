import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { VERSION } from "@shipfox/shared/version";
import { beforeAll, describe, expect, it } from "vitest";
import { BareMachine } from "./src/bare-machine.ts";
import { eventually } from "./src/eventually.ts";
import { workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";
import { buildTarballs, TARBALL_FOLDER } from "./src/tarballs.ts";

const COMMANDS = ["shipfox-control-plane", "shipfox-runner", "shipfox-provisioner", "shipfox"];
const PASSWORD = "correct horse battery";
const GREEN = workflow(
  "Green",
  `  build:
    outputs: { made: "\${{ steps.make.outputs.made }}" }
    steps:
      - key: make
        run: cat README.md; echo "made=app-1.0" >> "$SHIPFOX_OUTPUT"
  test:
    needs: build
    if: \${{ jobs.build.outputs.made == "app-1.0" }}
    steps:
      - run: echo tested; ! command -v node
`,
);

describe("[docker] the release", () => {
  const stage = useStage();
  let machine: BareMachine;
  let tarballs: string[];

  beforeAll(async () => {
    [tarballs, machine] = await Promise.all([buildTarballs(), BareMachine.start(stage)]);
    for (const tarball of tarballs) await machine.put(tarball, "/opt/");
    await machine.put(join(TARBALL_FOLDER, "SHA256SUMS"), "/opt/");
  });

  it("has a tarball for each component, named after command, version and machine", () => {
    const names = tarballs.map((path) => basename(path));
    expect(names).toEqual(COMMANDS.map((command) => `${command}-${VERSION}-linux-${process.arch}.tar.gz`));
  });

  it("is the same to the byte when it is built again", async () => {
    const again = await stage.folder("release");
    await buildTarballs(again);
    const sums = await readFile(join(again, "SHA256SUMS"), "utf8");
    expect(sums).toBe(await readFile(join(TARBALL_FOLDER, "SHA256SUMS"), "utf8"));
  });

  it("fits its checksums and manifests, and its programs run on a machine without Node", async () => {
    await machine.sh(
      "cd /opt; sha256sum --check --strict SHA256SUMS; for each in *.tar.gz; do tar -xzf $each; rm $each; done",
    );
    for (const command of COMMANDS) {
      const folder = `/opt/${command}-${VERSION}-linux-${process.arch}`;
      const manifest = JSON.parse(await machine.sh(`cat ${folder}/manifest.json`)) as {
        version: string;
        files: { path: string; mode: string; sha256: string }[];
      };
      expect(manifest.version).toBe(VERSION);
      const sums = manifest.files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join("");
      await machine.sh(`cd ${folder}; sha256sum --check --strict --quiet`, sums);
      const unpacked = (await machine.sh(`cd ${folder}; find . -type f -printf '%P %m\\n'`)).split("\n").toSorted();
      const listed = manifest.files.map(({ path, mode }) => `${path} ${mode}`);
      expect(unpacked).toEqual([...listed, "manifest.json 644"].toSorted());
      const program = `/usr/local/bin/${command}`;
      await machine.sh(`ln -s ${folder}/bin/${command} ${program}`);
      expect(await machine.sh(`${program} --version`)).toBe(VERSION);
      expect(await machine.sh(`${program} --help`)).toContain(`Usage: ${command}`);
      expect(await machine.sh(`cat ${folder}/THIRD-PARTY-LICENSES`)).toMatch(/^ {2}zod \d/m);
    }
    const completions = `/opt/shipfox-${VERSION}-linux-${process.arch}/completions`;
    expect((await machine.sh(`ls ${completions}`)).split("\n")).toEqual(["_shipfox", "shipfox.bash", "shipfox.fish"]);
    await machine.sh(`bash -n ${completions}/shipfox.bash`);
  });

  it("runs a whole job: account, project, runner, checkout, outputs, result", async () => {
    await machine.sh(
      `mkdir -p /srv/repository/.shipfox/workflows; cd /srv/repository; echo "# Sample" >README.md
      cat >.shipfox/workflows/green.yml
      git init --quiet --initial-branch=main
      git add .; git -c user.name=Ada -c user.email=ada@example.com commit --quiet --message=Sample`,
      GREEN,
    );
    await machine.sh(`SHIPFOX_GIT_ALLOW_FILE=true SHIPFOX_DATA_DIR=/var/lib/shipfox setsid shipfox-control-plane \
      </dev/null >/var/log/control-plane 2>&1 &`);
    await eventually("the control plane is ready", async () => {
      const { code } = await machine.try("curl -fsS http://localhost:16101/readyz");
      return code === 0;
    });
    await machine.sh("shipfox login --signup --name Ada --email ada@example.com --password-stdin", PASSWORD);
    await machine.sh("shipfox workspaces create Team; shipfox projects create --repo /srv/repository --name Sample");
    await machine.sh("shipfox runners add --token-file /root/token");
    await machine.sh(`SHIPFOX_GIT_ALLOW_FILE=true SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=/root/token \
      SHIPFOX_RUNNER_SANDBOX=host setsid shipfox-runner </dev/null >/var/log/runner 2>&1 &`);
    const { code, stdout, stderr } = await machine.try("shipfox run green --follow");
    const logs = code === 0 ? "" : await machine.sh("cat /var/log/control-plane /var/log/runner");
    expect({ code, logs }, `${stdout}${stderr}`).toEqual({ code: 0, logs: "" });
    expect(stdout).toContain("# Sample");
    expect(stdout).toContain("tested");
    expect(await machine.sh("curl -fsS http://localhost:16101/docs/files/swagger-ui.css | head -c 100")).toContain("{");
    expect(await machine.sh("curl -fsS http://localhost:16101/openapi.json")).toContain('"openapi"');
  });
});
