import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { BareMachine } from "./src/bare-machine.ts";
import { PrivateEngine } from "./src/private-engine.ts";
import { useStage } from "./src/stage.ts";
import { buildTarballs } from "./src/tarballs.ts";

const IMAGE = "shipfox/sandbox:1";
const MISSING = 3;

describe("[docker] install.sh and the image of jobs that name none", () => {
  const stage = useStage();
  let machine: BareMachine;
  let engine: PrivateEngine;
  let release: string;
  let tarball: string;
  let before: string;

  beforeAll(async () => {
    release = await stage.folder("release");
    const parts = ["--component", "runner", "--component", "sandbox-image"];
    const [built, started] = await Promise.all([buildTarballs(release, ...parts), PrivateEngine.start(stage)]);
    [tarball = "", engine] = [built.find((path) => path.includes("sandbox-image")) ?? "", started];
    machine = await BareMachine.boot(stage, { [release]: "/srv/release", [engine.socket]: "/run/docker.sock" });
    await machine.sh("groupadd --system docker");
    before = await machine.listing();
  });

  const install = (environment = "") =>
    machine.try(
      `${environment} sh /srv/release/install.sh runner --no-start --url http://localhost:16101 --from /srv/release`,
    );
  const purge = () => machine.sh("sh /srv/release/install.sh uninstall runner --purge");
  const images = () => engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}");

  it("takes the one that the operator names, and loads none", async () => {
    expect((await install("SHIPFOX_RUNNER_IMAGE='$(id)'")).code).toBe(64);
    expect((await install("SHIPFOX_RUNNER_IMAGE=registry.example.com/ci:1")).code).toBe(0);
    expect(await machine.sh("cat /etc/shipfox/runner.env")).toMatch(
      /^SHIPFOX_RUNNER_IMAGE=registry\.example\.com\/ci:1$/m,
    );
    expect(await images()).toBe("");
    await purge();
  });

  it("loads the one of the release where there is none and no registry, and removes it again", async () => {
    const { code, stdout, stderr } = await install();
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`loading ${basename(tarball)}`);
    expect((await stat(tarball)).mode & 0o777).toBe(0o644);
    expect(await images()).toBe(IMAGE);
    const second = await install();
    expect([second.code, second.stdout]).toEqual([0, expect.not.stringContaining("loading")]);
    await purge();
    expect(await images()).toBe("");
    expect(await machine.listing()).toBe(before);
  });

  it("leaves one that was there before", async () => {
    await engine.docker("load", "--quiet", "--input", tarball);
    expect((await install()).stdout).not.toContain("loading");
    await purge();
    expect(await images()).toBe(IMAGE);
    await engine.docker("image", "rm", IMAGE);
  });

  it("changes nothing when there is none at all, and says what to do", async () => {
    const sums = join(release, "SHA256SUMS");
    const lines = (await readFile(sums, "utf8")).split("\n");
    await rm(tarball);
    await writeFile(sums, lines.filter((line) => !line.endsWith(basename(tarball))).join("\n"));
    const { code, stderr } = await install();
    expect([code, stderr]).toEqual([MISSING, expect.stringMatching(/no image for jobs[^]*SHIPFOX_RUNNER_IMAGE/)]);
    expect(await machine.listing()).toBe(before);
  });
});
