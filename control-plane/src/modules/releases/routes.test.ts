import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Api, serveApi } from "../../testing/api.ts";
import { createReleaseRoutes } from "./routes.ts";

const TARBALL = "shipfox-runner-1.2.3-linux-x64.tar.gz";

describe("the releases of the control plane", () => {
  let root: string;
  let folder: string;
  let api: Api;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "shipfox-releases-"));
    folder = join(root, "releases");
    await mkdir(join(folder, "folder"), { recursive: true });
    await writeFile(join(root, "secret"), "secret");
    await writeFile(join(folder, ".hidden"), "secret");
    await writeFile(join(folder, "SHA256SUMS"), "sums");
    await writeFile(join(folder, TARBALL), "0123456789");
    await symlink("../secret", join(folder, "link"));
    api = await serveApi(createReleaseRoutes({ releasesDir: folder }));
  });

  afterEach(async () => {
    await api.close();
    await rm(root, { recursive: true });
  });

  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${api.url}${path}`, { headers });

  it("hands out the installer to everybody", async () => {
    const response = await get("/install.sh");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/x-shellscript; charset=utf-8");
    expect(await response.text()).toMatch(/^#!\/bin\/sh\n[^]*\nmain "\$@"\n$/);
  });

  it("hands out a file, a part of it, and nothing to who has it already", async () => {
    const whole = await get(`/releases/${TARBALL}`);
    expect([whole.status, await whole.text()]).toEqual([200, "0123456789"]);
    const etag = whole.headers.get("etag") ?? "";
    expect((await get(`/releases/${TARBALL}`, { "if-none-match": etag })).status).toBe(304);
    const part = await get(`/releases/${TARBALL}`, { range: "bytes=4-", "if-range": etag });
    expect([part.status, await part.text()]).toEqual([206, "456789"]);
    expect(part.headers.get("content-range")).toBe("bytes 4-9/10");
    const changed = await get(`/releases/${TARBALL}`, { range: "bytes=4-", "if-range": '"other"' });
    expect([changed.status, await changed.text()]).toEqual([200, "0123456789"]);
    expect((await get(`/releases/${TARBALL}`, { range: "bytes=10-" })).status).toBe(416);
  });

  it("hands out nothing from elsewhere, however it is asked for", async () => {
    const names = [
      "..%2fsecret",
      "%2e%2e%2fsecret",
      "..%5csecret",
      "link",
      ".hidden",
      "folder",
      "folder%2f..",
      "%00",
      ".",
    ];
    for (const name of [...names, encodeURIComponent(join(root, "secret"))]) {
      const response = await get(`/releases/${name}`);
      expect([name, response.status]).toEqual([name, expect.toSatisfy((status) => status === 404 || status === 400)]);
      expect(await response.text()).not.toContain("secret\n");
    }
  });

  it("say which files there are, and how to get some when there are none", async () => {
    const missing = await api.call("GET", "/releases/shipfox-0.0.0-linux-x64.tar.gz");
    expect([missing.status, missing.body.message]).toEqual([404, expect.stringContaining("GET /releases/SHA256SUMS")]);
    await rm(folder, { recursive: true });
    const { status, body } = await api.call("GET", "/releases/SHA256SUMS");
    expect([status, body.code]).toEqual([404, "not-found"]);
    expect(body.message).toMatch(/scripts\/release .*SHIPFOX_RELEASES_DIR/);
  });
});
