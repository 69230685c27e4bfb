import { expect, it } from "vitest";
import { planNpmSettings } from "./npm-settings.ts";

it("passes nothing on where npm is set up as usual", () => {
  const config = { "strict-ssl": true, proxy: null, noproxy: [""], ca: null };
  expect(planNpmSettings(config)).toEqual({ npmrc: "", caFile: null });
});

it("passes on where packages come from, and no credential", () => {
  const config = {
    registry: "https://ada:secret@packages.example/npm/",
    "@acme:registry": "https://acme.example/",
    "//packages.example/npm/:_authToken": "secret",
    _auth: "secret",
    "https-proxy": "http://ada:secret@proxy.example:3128/",
    cache: "/root/.npm",
  };
  expect(planNpmSettings(config).npmrc.trimEnd().split("\n")).toEqual([
    "registry=https://packages.example/npm/",
    "@acme:registry=https://acme.example/",
    "https-proxy=http://proxy.example:3128/",
  ]);
});

it("names a CA file that exists", () => {
  expect(planNpmSettings({ cafile: import.meta.filename }).caFile).toBe(import.meta.filename);
  expect(planNpmSettings({ cafile: "/nowhere/ca.pem" }).caFile).toBeNull();
});
