import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Driver } from "../drivers/driver.ts";
import { describeFault, readTemplatesFile } from "./read-templates-file.ts";
import type { TemplatesFile } from "./template.ts";

const NEVER = () => Promise.reject(new Error("the reader opens nothing"));
const local: Driver = {
  kind: "local",
  settingsSchema: z.strictObject({ folder: z.string().default("/tmp") }),
  machineSchema: z.strictObject({ image: z.string(), cpus: z.number().default(1) }),
  sandboxes: ["host"],
  loopback: { leadsTo: "this-host", hint: "" },
  open: NEVER,
};
const cloud: Driver = {
  ...local,
  kind: "cloud",
  sandboxes: ["host", "docker"],
  loopback: { leadsTo: "nowhere", hint: "give it a public name" },
};
const options = { drivers: { local, cloud }, apiUrl: "https://ci.example.com" };

function read(text: string): TemplatesFile {
  const result = readTemplatesFile(text, options);
  if (!result.ok) throw new Error(result.faults.map((fault) => describeFault("t.yml", fault)).join("\n"));
  return result.file;
}

function faultsOf(text: string): string[] {
  const result = readTemplatesFile(text, options);
  return result.ok ? [] : result.faults.map((fault) => describeFault("t.yml", fault));
}

const small = (lines: string) => `provider: { kind: local }
templates:
  small:
    labels: [linux]
    max_concurrency: 5
    machine: { image: base }
${lines}`;

describe("a templates file", () => {
  it("gives every template its defaults, with a life that is long enough for the longest job", () => {
    expect(read(small(""))).toEqual({
      pool: "default",
      provider: { kind: "local", settings: { folder: "/tmp" } },
      limits: { maxInstances: 100, maxCreationsPerHour: 1_000, maxDeletionsPerMinute: 60 },
      templates: [
        {
          key: "small",
          labels: ["linux"],
          capabilities: ["files"],
          sandbox: "host",
          runnerApiUrl: "https://ci.example.com",
          machine: { image: "base", cpus: 1 },
          maxConcurrency: 5,
          maxCreationsPerHour: Number.POSITIVE_INFINITY,
          idle: 0,
          schedules: [],
          burst: 10,
          bootTimeoutMs: 600_000,
          idleTimeoutMs: 300_000,
          maxLifetimeMs: 600_000 + 300_000 + 86_400_000 + 600_000,
          costPerHour: null,
          preference: 100,
          fallback: null,
        },
      ],
    });
  });

  it("makes templates of a matrix, with variables, defaults, exclusions, additions and names of its own", () => {
    const file = read(`
pool: ci
provider: { kind: cloud, folder: /srv }
runner_api_url: https://runners.example.com
vars: { images: { x64: base-1, arm64: base-2 }, arches: [x64, arm64] }
defaults:
  max_concurrency: 3
  machine: { cpus: 2 }
matrix:
  linux:
    axes: { arch: "\${{ vars.arches }}", size: [{ name: small, cpus: 2 }, { name: x-large, cpus: 16 }] }
    exclude: [{ arch: arm64, size: { name: x-large, cpus: 16 } }]
    include: [{ arch: riscv, size: { name: small, cpus: 1 } }]
    let: { image: "\${{ arch in vars.images ? vars.images[arch] : 'other' }}", full: "img/\${{ image }}" }
    template:
      labels: [linux, "\${{ arch }}", "\${{ size.name }}"]
      sandbox: docker
      machine: { image: "\${{ full }}", cpus: "\${{ size.cpus }}" }
templates:
  spot:
    labels: [linux, spot]
    machine: { image: base }
    fallback: linux-x64-small
    schedules:
      - { cron: "0 8 * * mon-fri", timezone: Europe/Berlin, duration: 10h, idle: 2 }
`);
    expect(file.templates.map(({ key }) => key)).toEqual([
      "linux-arm64-small",
      "linux-riscv-small",
      "linux-x64-small",
      "linux-x64-x%2Dlarge",
      "spot",
    ]);
    expect(file.templates[3]).toMatchObject({
      labels: ["linux", "x64", "x-large"],
      capabilities: ["image", "services", "network", "files"],
      runnerApiUrl: "https://runners.example.com",
      machine: { image: "img/base-1", cpus: 16 },
      maxConcurrency: 3,
    });
    expect(file.templates[4]).toMatchObject({
      machine: { image: "base", cpus: 2 },
      fallback: "linux-x64-small",
      schedules: [
        { cron: "0 8 * * mon-fri", timezone: "Europe/Berlin", durationMs: 36_000_000, idle: 2, maxConcurrency: null },
      ],
    });
  });

  it("takes the template that is written by hand for the one of the matrix, and says so", () => {
    const result = readTemplatesFile(
      `${small("")}matrix: { small: { axes: { n: [1] }, key: small, template: { labels: [other], max_concurrency: 1 } } }\n`,
      options,
    );
    expect(result).toMatchObject({ ok: true, warnings: [{ message: expect.stringContaining("that one counts") }] });
    expect(read(small("")).templates).toHaveLength(1);
  });

  it.each<[string, string, string[]]>([
    [
      "is no YAML",
      "provider: [",
      ["t.yml:1:12: (root): Flow sequence in block collection must be sufficiently indented and end with a ]"],
    ],
    [
      "has no template",
      "provider: { kind: local }\n",
      ["t.yml:1:1: (root): there is no template: give one under `templates` or `matrix`"],
    ],
    [
      "misspells a key of the file",
      `${small("")}limit: {}\n`,
      ["t.yml:7:8: limit: there is no key `limit` here; did you mean `limits`?"],
    ],
    [
      "misspells a key of a template",
      small("    max_concurency: 3\n"),
      [
        "t.yml:7:21: templates.small.max_concurency: there is no key `max_concurency` here; did you mean `max_concurrency`?",
      ],
    ],
    [
      "misspells a key of a machine",
      small("").replace("image: base", "image: base, cpu: 2"),
      ["t.yml:6:34: templates.small.machine.cpu: there is no key `cpu` here; did you mean `cpus`?"],
    ],
    [
      "misspells a key of the defaults",
      `${small("")}defaults: { idel: 1 }\n`,
      ["t.yml:7:19: defaults.idel: there is no key `idel` here; did you mean `idle`?"],
    ],
    [
      "names an unknown provider",
      small("").replace("kind: local", "kind: aws"),
      ["t.yml:1:19: provider.kind: there is no provider aws; there are local, cloud"],
    ],
    [
      "has a wrong setting of the provider",
      small("").replace("kind: local", "kind: local, folder: 3"),
      ["t.yml:1:34: provider.folder: expected string, received number"],
    ],
    [
      "has a wrong label",
      small("").replace("[linux]", "[linux, Big Box]"),
      ["t.yml:4:21: templates.small.labels[1]: expected a label like ^[a-z0-9][a-z0-9._-]*$"],
    ],
    [
      "wants more idle runners than it may have",
      small("    idle: 6\n"),
      ["t.yml:7:11: templates.small.idle: idle is 6, and max_concurrency is only 5"],
    ],
    [
      "has no duration",
      small("    boot_timeout: 10 minutes\n"),
      ["t.yml:7:19: templates.small.boot_timeout: expected a duration between 10s and 1h, such as 90s, 10m or 2h"],
    ],
    [
      "wants a life too short for its jobs",
      small("    longest_job: 1h\n    max_lifetime: 1h\n"),
      [
        "t.yml:8:19: templates.small.max_lifetime: a machine must live for its boot, its idle time, its longest job and 10m: at least 85m; with a shorter longest_job it may be less",
      ],
    ],
    [
      "has a schedule of no date",
      small("    schedules: [{ cron: 0 0 30 2 *, timezone: UTC, duration: 1h, idle: 1 }]\n"),
      [
        't.yml:7:25: templates.small.schedules[0].cron: expected five cron fields that fit some date, such as "0 8 * * mon-fri"',
      ],
    ],
    [
      "names no time zone",
      small("    schedules: [{ cron: 0 8 * * *, timezone: Mars, duration: 1h, idle: 1 }]\n"),
      ["t.yml:7:46: templates.small.schedules[0].timezone: expected a time zone such as Europe/Berlin"],
    ],
    [
      "falls back to nothing",
      small("    fallback: smal\n"),
      ["t.yml:7:15: templates.small.fallback: there is no template smal; did you mean small?"],
    ],
    [
      "falls back in a circle",
      small("    fallback: small\n"),
      ["t.yml:7:15: templates.small.fallback: the fallbacks of small lead back to small"],
    ],
    [
      "wants a Docker Engine in a container",
      small("    sandbox: docker\n"),
      [
        "t.yml:7:14: templates.small.sandbox: the provider local has no machines with a Docker Engine in them; use sandbox: host",
      ],
    ],
    [
      "sends machines of a cloud to a loopback address",
      small("    runner_api_url: http://localhost:16101\n").replace("kind: local", "kind: cloud"),
      [
        "t.yml:7:21: templates.small.runner_api_url: machines of cloud cannot reach http://localhost:16101, which is an address of this host alone; give it a public name",
      ],
    ],
    [
      "reads a name that is not there",
      small("").replace("image: base", 'image: "${{ vars.imag }}"'),
      ["t.yml:6:23: templates.small.machine.image: the expression `vars.imag` cannot be evaluated: No such key: imag"],
    ],
    [
      "has an axis without values",
      `provider: { kind: local }\nmatrix:\n  m:\n    axes: { a: [] }\n    template: {}\n`,
      ["t.yml:4:16: matrix.m.axes.a: an axis is a list with at least one value"],
    ],
    [
      "adds a combination with an axis too few",
      `provider: { kind: local }\nmatrix:\n  m:\n    axes: { a: [1], b: [1] }\n    include: [{ a: 2 }]\n    template: {}\n`,
      ["t.yml:5:15: matrix.m.include[0]: the axis b is missing"],
    ],
    [
      "makes one key twice",
      `provider: { kind: local }\nmatrix:\n  m:\n    axes: { a: [1, 2] }\n    key: same\n    template: { labels: [l], max_concurrency: 1, machine: { image: i } }\n`,
      ["t.yml:4:5: matrix.m: two combinations have the key same; give another `key`"],
    ],
    [
      "makes too many templates",
      `provider: { kind: local }\nmatrix:\n  m:\n    axes: { a: ${JSON.stringify(Array.from({ length: 40 }, (_, i) => i))}, b: ${JSON.stringify(Array.from({ length: 40 }, (_, i) => i))} }\n    template: {}\n`,
      ["t.yml:4:11: matrix.m.axes: the axes make 1600 combinations; at most 1000 are allowed"],
    ],
  ])("is refused with the place when it %s", (_, text, faults) => {
    expect(faultsOf(text)).toEqual(faults);
  });
});
