import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDocsRoutes } from "./docs-routes.ts";
import { type Api, serveApi } from "../testing/api.ts";

describe("the docs of the API", () => {
  let api: Api;

  beforeEach(async () => {
    api = await serveApi(createDocsRoutes());
  });

  afterEach(() => api.close());

  it("are an explorer of our own files, under a policy that lets nothing else in", async () => {
    const response = await fetch(`${api.url}/docs`);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self'");
    expect(policy).not.toMatch(/https?:|script-src[^;]*unsafe/);

    const html = await response.text();
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? "");
    expect(files).toHaveLength(3);
    for (const file of files) {
      expect(file).toMatch(/^\/docs\/files\//);
      expect((await fetch(api.url + file)).status).toBe(200);
    }
    expect(html).not.toMatch(/https?:\/\//);
    expect(html).not.toMatch(/<script>|onload=/);
  });

  it("hand out no other file, however it is asked for", async () => {
    for (const file of [
      "package.json",
      "..%2fpackage.json",
      "constructor",
      "%00",
      "swagger-ui.css%2f..",
      "absolute-path.js",
    ]) {
      const { status, body } = await api.call("GET", `/docs/files/${file}`);
      expect([file, status, body.code]).toEqual([file, 404, "not-found"]);
    }
  });

  it("explain every error code, to programs and to browsers", async () => {
    const { body } = await api.call("GET", "/docs/errors/slug-conflict");
    expect(body).toEqual({ code: "slug-conflict", status: 409, meaning: "The slug is taken." });
    const page = await fetch(`${api.url}/docs/errors/slug-conflict`, { headers: { accept: "text/html" } });
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await page.text()).toContain("The slug is taken.");
    for (const code of ["nonsense", "toString", "__proto__"]) {
      expect((await api.call("GET", `/docs/errors/${code}`)).status).toBe(404);
    }
  });
});
