import { describe, expect, it } from "vitest";
import { SandboxError } from "../sandbox-error.ts";
import { isRegistryFault } from "./pull-failure.ts";

const get = (rest: string) => `Docker refused (pull of a:1 at /var/run/docker.sock: ${rest})`;

describe("a failed pull", () => {
  it.each([
    "toomanyrequests: You have reached your pull rate limit.",
    "received unexpected HTTP status: 503 Service Unavailable",
    "error parsing HTTP 429 response body: Too Many Requests",
    'Get "https://r.example/v2/": net/http: TLS handshake timeout',
    'Get "https://r.example/v2/": dial tcp 10.0.0.1:443: i/o timeout',
    'Get "https://r.example/v2/": net/http: request canceled while waiting for connection',
    'Get "https://r.example/v2/": EOF',
    'Get "https://r.example/v2/": dial tcp: lookup r.example: server misbehaving',
    "unexpected EOF",
  ])("is the registry's fault: %s", (words) => {
    expect(isRegistryFault(new SandboxError("start_failed", get(words)))).toBe(true);
  });

  it("is the registry's fault when it missed its deadline", () => {
    expect(isRegistryFault(new SandboxError("timed_out", "Docker did not answer in 600 s"))).toBe(true);
  });

  it.each([
    "manifest for shop/app:500 not found: manifest unknown: manifest unknown",
    "pull access denied for shop/app, repository does not exist or may require 'docker login'",
    'Get "https://no.such.example/v2/": dial tcp: lookup no.such.example: no such host',
    'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    "unauthorized: authentication required",
    "invalid reference format",
  ])("is the workflow's fault: %s", (words) => {
    expect(isRegistryFault(new SandboxError("start_failed", get(words)))).toBe(false);
  });
});
