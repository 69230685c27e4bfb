/** A part of Shipfox that is installed by itself. */
export interface Component {
  readonly name: string;
  /** What users type; its launcher is `bin/COMMAND` in the tarball. */
  readonly command: string;
  /** The program's source, relative to the root of the repository. */
  readonly entry: string;
  /** Further files: path in the tarball to path in the repository. */
  readonly files: Readonly<Record<string, string>>;
  /** Files that the program itself prints: path in the tarball to the arguments that make it print them. */
  readonly printed?: Readonly<Record<string, readonly string[]>>;
  /** Packages that the program looks up at run time, with those of their files that it reads. */
  readonly packages: Readonly<Record<string, readonly string[]>>;
}

export const COMPONENTS: readonly Component[] = [
  {
    name: "control-plane",
    command: "shipfox-control-plane",
    entry: "control-plane/src/main.ts",
    files: {
      "systemd/shipfox-control-plane.service": "control-plane/systemd/shipfox-control-plane.service",
      "deploy/compose.yml": "deploy/compose.yml",
      "deploy/grafana/shipfox.json": "deploy/grafana/shipfox.json",
      "deploy/prometheus/shipfox.rules.yml": "deploy/prometheus/shipfox.rules.yml",
    },
    packages: { "swagger-ui-dist": ["package.json", "swagger-ui.css", "swagger-ui-bundle.js", "LICENSE", "NOTICE"] },
  },
  {
    name: "runner",
    command: "shipfox-runner",
    entry: "runner/src/main.ts",
    files: {
      "systemd/shipfox-runner.service": "runner/systemd/shipfox-runner.service",
      "systemd/shipfox-runner-once.service": "runner/systemd/shipfox-runner-once.service",
    },
    packages: {},
  },
  {
    name: "provisioner",
    command: "shipfox-provisioner",
    entry: "provisioner/src/main.ts",
    files: {
      "systemd/shipfox-provisioner.service": "provisioner/systemd/shipfox-provisioner.service",
      "examples/docker-provider.sh": "provisioner/examples/docker-provider.sh",
    },
    packages: {},
  },
  {
    name: "cli",
    command: "shipfox",
    entry: "cli/src/main.ts",
    files: {},
    printed: {
      "completions/shipfox.bash": ["completion", "bash"],
      "completions/_shipfox": ["completion", "zsh"],
      "completions/shipfox.fish": ["completion", "fish"],
    },
    packages: {},
  },
];

export const ARCHITECTURES = ["x64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];
