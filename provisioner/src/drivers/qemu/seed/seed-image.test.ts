import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fatImage } from "./fat-image.ts";
import { nocloudSeed, tarSeed } from "./seed-image.ts";

const SEED = {
  instance: "0197-i",
  hostName: "shipfox-abc",
  files: [
    { path: "/etc/shipfox/runner.env", content: 'LABELS=a,b\nNAME="ü"\n' },
    { path: "/etc/shipfox/registration-token", content: "sf_ert_secret\n" },
  ],
};

describe("[qemu] the disk from which a machine learns who it is", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "qemu-seed-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Another implementation of the file system reads the image. */
  async function fatFile(image: Buffer, name: string): Promise<Buffer> {
    const path = join(folder, "fat.img");
    await writeFile(path, image);
    const options = { encoding: "buffer", stripFinalNewline: false } as const;
    const { stdout } = await execa("mcopy", ["-n", "-i", path, `::${name}`, "-"], options);
    return Buffer.from(stdout);
  }

  it("is a tar archive that puts each file in its place, for root only", async () => {
    const path = join(folder, "seed.tar");
    const image = await tarSeed(SEED);
    await writeFile(path, image);
    expect(image.length % 512).toBe(0);
    await execa("tar", ["-x", "-f", path, "-C", folder]);
    const token = join(folder, "etc/shipfox/registration-token");
    expect((await stat(token)).mode & 0o777).toBe(0o600);
    expect((await execa("cat", [token])).stdout).toBe("sf_ert_secret");
    expect((await execa("cat", [join(folder, "etc/hostname")])).stdout).toBe("shipfox-abc");
  });

  it("is a disk labelled CIDATA with user data and meta data for cloud-init", async () => {
    const image = nocloudSeed(SEED);
    const userData = (await fatFile(image, "user-data")).toString();
    expect(userData).toMatch(/^#cloud-config\n/);
    const { write_files: files } = JSON.parse(userData.slice("#cloud-config\n".length));
    expect(files[1]).toMatchObject({ path: "/etc/shipfox/registration-token", permissions: "0600" });
    expect(Buffer.from(files[0].content, "base64").toString()).toBe(SEED.files[0]?.content);
    expect(JSON.parse((await fatFile(image, "meta-data")).toString())).toEqual({
      "instance-id": "0197-i",
      "local-hostname": "shipfox-abc",
    });
    expect((await execa("mlabel", ["-s", "-i", join(folder, "fat.img"), "::"])).stdout).toContain("CIDATA");
    expect((await execa("minfo", ["-i", join(folder, "fat.img"), "::"])).stdout).toContain('disk type="FAT16   "');
  });

  it("gives back files of any length under any name", async () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/);
    const files = fc.uniqueArray(fc.record({ name, content: fc.uint8Array({ maxLength: 2_000 }) }), {
      minLength: 1,
      maxLength: 5,
      selector: (file) => file.name,
    });
    await fc.assert(
      fc.asyncProperty(files, async (generated) => {
        const image = fatImage(
          "CIDATA",
          generated.map((file) => ({ name: file.name, content: Buffer.from(file.content) })),
        );
        for (const file of generated) expect([...(await fatFile(image, file.name))]).toEqual([...file.content]);
      }),
      { numRuns: 15 },
    );
  });

  it("refuses what does not fit in it", () => {
    const large = { name: "a", content: Buffer.alloc(5 * 1024 ** 2) };
    expect(() => fatImage("CIDATA", [large])).toThrow("do not fit");
    expect(() => fatImage("CIDATA", [{ name: "a/b", content: Buffer.alloc(1) }])).toThrow("cannot name a file");
  });
});
