import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "@shipfox/shared/config";
import { createLogger } from "@shipfox/shared/logger";
import { expect, it, onTestFinished } from "vitest";
import { TemplatesSource } from "./templates-source.ts";

/** A provider whose machines are elsewhere, and a machine of it. */
const CLOUDS = [
  ["ec2", "provider: { kind: ec2, region: eu-central-1 }", "{ launch_template: { name: runners } }"],
  ["hetzner", "provider: { kind: hetzner, token_file: token }", "{ server_type: cx23, image: debian-13 }"],
] as const;

it.each(CLOUDS)(
  "machines of %s are never told to look for the control plane on their own loopback address",
  async (kind, provider, machine) => {
    const folder = await mkdtemp(join(tmpdir(), "templates-source-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "templates.yaml");
    const write = (url: string) =>
      writeFile(
        path,
        `${provider}\n${url}\ntemplates:\n  small: { labels: [linux], max_concurrency: 1, machine: ${machine} }\n`,
      );
    const logger = createLogger("test", "silent");
    const refusal = `machines of ${kind} cannot reach http://localhost:16101, which is an address of this host alone`;

    // The address of the provisioner itself is what counts when the file says nothing.
    await write("");
    expect(() => new TemplatesSource(path, "http://localhost:16101", logger)).toThrow(refusal);
    expect(() => new TemplatesSource(path, "http://localhost:16101", logger)).toThrow(ConfigError);

    await write("runner_api_url: https://ci.example.com");
    const source = new TemplatesSource(path, "http://localhost:16101", logger);
    const { current } = source;
    await write("runner_api_url: http://localhost:16101");
    expect(source.reload(true)).toBe(false);
    expect(source.current).toBe(current);
    expect(source.fault).toContain(refusal);
  },
);
