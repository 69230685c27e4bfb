import { shellLayer, StandInRegistry } from "@shipfox/shared/stand-in-registry.fixture";
import type { PullPolicy, RegistryCredential } from "@shipfox/shared/machine";
import Docker from "dockerode";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { DEFAULT_IMAGE } from "./docker-options.ts";
import { Engine } from "./engine.ts";
import { Images, type JobImage } from "./images.ts";

const TEST_TIMEOUT_MS = 60_000;
const MINUTE_MS = 60_000;
const ACCOUNT = { username: "ci", password: "very-secret" };
const docker = new Docker({ socketPath: "/var/run/docker.sock" });

describe("[docker] images", { timeout: TEST_TIMEOUT_MS }, () => {
  let open: StandInRegistry;
  let guarded: StandInRegistry;
  let layer: Buffer;
  const published = new Set<string>();

  beforeAll(async () => {
    open = await StandInRegistry.start();
    guarded = await StandInRegistry.start();
    layer = await shellLayer(DEFAULT_IMAGE);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    for (const reference of published)
      await docker
        .getImage(reference)
        .remove({ force: true })
        .catch(() => {});
    await open[Symbol.asyncDispose]();
    await guarded[Symbol.asyncDispose]();
  }, TEST_TIMEOUT_MS);

  function publish(repository: string, build = 1): string {
    const reference = open.publish({ repository, tag: "1", layer, config: { Env: [`BUILD=${build}`] } });
    published.add(reference);
    return reference;
  }

  function publishPrivate(repository: string): string {
    const reference = guarded.publish({ repository, tag: "1", layer, account: ACCOUNT });
    published.add(reference);
    return reference;
  }

  /** A runner's images, and a way to ask for one; each has its own memory of rights. */
  function runner(settings: { pullPolicy?: PullPolicy; localImages?: string[] } = {}) {
    const images = new Images(new Engine(null), {
      logger: pino({ level: "silent" }),
      pullPolicy: "if-not-present",
      localImages: [],
      pullTimeoutMs: MINUTE_MS,
      registryRetryMs: 1,
      ...settings,
    });
    const lines: string[] = [];
    const obtain = (
      reference: string,
      credential: RegistryCredential | null = null,
      pull?: PullPolicy,
    ): Promise<JobImage> =>
      images.obtain(reference, pull, {
        credential: async () => credential,
        report: (line) => void lines.push(line),
        signal: new AbortController().signal,
      });
    return { images, lines, obtain };
  }

  const pulls = (lines: string[]) => lines.filter((line) => line.startsWith("Pulling")).length;

  it("are pulled when they are missing, with progress, and not again when they are here", async () => {
    const reference = publish("team/pulled");
    const { obtain, lines } = runner();
    const image = await obtain(reference);
    expect(lines[0]).toBe(`Pulling the image ${reference}`);
    expect(lines.at(-1)).toMatch(/^Pulled .* in \d+\.\d s$/);
    expect((await obtain(reference)).id).toBe(image.id);
    expect(pulls(lines)).toBe(1);
  });

  it("stay as they are when the tag moved, unless fresh ones are asked for", async () => {
    const reference = publish("team/moving", 1);
    const first = await runner().obtain(reference);
    // Nothing names it when the tag has moved.
    onTestFinished(async () => void (await docker.getImage(first.id).remove({ force: true })));
    publish("team/moving", 2);
    expect((await runner().obtain(reference)).id).toBe(first.id);
    expect((await runner({ pullPolicy: "never" }).obtain(reference, null, "always")).id).toBe(first.id);
    const second = await runner().obtain(reference, null, "always");
    expect(second.id).not.toBe(first.id);
    const { obtain, lines } = runner({ pullPolicy: "always" });
    expect((await obtain(reference)).id).toBe(second.id);
    expect(pulls(lines)).toBe(0);
  });

  it("are used by a project without the right to them neither from the registry nor from the machine", async () => {
    const reference = publishPrivate("team/private");
    const { obtain } = runner();
    await expect(obtain(reference)).rejects.toMatchObject({ reason: "image_unavailable" });
    expect((await obtain(reference, ACCOUNT)).id).toMatch(/^sha256:/);
    for (const credential of [
      null,
      { username: "ci", password: "wrong" },
      { username: "other", password: "very-secret" },
    ]) {
      const error = await obtain(reference, credential).catch((fault: unknown) => fault);
      expect(error).toMatchObject({ name: "SandboxError", reason: "image_unavailable" });
      expect((error as Error).message).not.toContain("very-secret");
    }
    await expect(obtain(reference, null, "never")).rejects.toMatchObject({ reason: "image_unavailable" });
  });

  it("cannot be reached around the registry: by the id of a copy, by its digest in another place", async () => {
    const { obtain } = runner();
    const { id, digests } = await obtain(publishPrivate("team/hidden"), ACCOUNT);
    const roundabout = [
      id.slice("sha256:".length),
      id.slice("sha256:".length, 19),
      `${open.host}/team/hidden@${digests[0]}`,
    ];
    for (const reference of roundabout) {
      await expect(obtain(reference)).rejects.toMatchObject({ reason: "image_unavailable" });
    }
  });

  it("of the machine are used without a registry when the operator lists them, and only then", async () => {
    const local = `shipfox-test/local-${process.pid}`;
    await docker.getImage(DEFAULT_IMAGE).tag({ repo: local, tag: "1" });
    published.add(`${local}:1`);
    expect((await runner({ localImages: ["shipfox-test/*"] }).obtain(`${local}:1`)).id).toMatch(/^sha256:/);
    await expect(runner().obtain(`${local}:1`)).rejects.toMatchObject({
      reason: "image_unavailable",
      message: expect.stringContaining("SHIPFOX_RUNNER_LOCAL_IMAGES"),
    });
  });

  it.each([429, 500, 503])("are tried for again when the registry answers %i", async (status) => {
    const reference = publish(`team/flaky-${status}`);
    const { obtain, lines } = runner();
    open.faults.push(status, status);
    expect((await obtain(reference)).id).toMatch(/^sha256:/);
    expect(lines).toContainEqual(expect.stringMatching(/let the runner down.*Trying again in 1 s/));
  });

  it("that a registry never delivers are its fault, not the job's", async () => {
    const reference = publish("team/busy");
    open.faults.push(...Array.from({ length: 20 }, () => 429));
    try {
      await expect(runner().obtain(reference)).rejects.toMatchObject({ reason: "registry_unavailable" });
    } finally {
      open.faults.length = 0;
    }
  });

  it("are pulled once for jobs that want the same at the same time", async () => {
    const reference = publish("team/shared", 7);
    const { obtain, lines } = runner();
    await Promise.all([obtain(reference), obtain(reference), obtain(reference)]);
    expect(pulls(lines)).toBe(1);
  });

  it("that nobody may pull are said to be missing", async () => {
    const missing = `${open.host}/team/none:1`;
    const error = await runner({ pullPolicy: "never" })
      .obtain(missing)
      .catch((fault: unknown) => fault);
    expect(error).toMatchObject({ reason: "image_unavailable", message: expect.stringContaining("nothing is pulled") });
    const refused = await runner()
      .obtain(missing)
      .catch((fault: unknown) => fault);
    expect(refused).toMatchObject({ reason: "image_unavailable", message: expect.stringContaining("team/none:1") });
  });
});
