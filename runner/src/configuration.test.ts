import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SETTINGS } from "./config.ts";
import { parseConfigurationFile, readConfiguration } from "@shipfox/shared/operate/configuration";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-configuration-"));
  file = join(folder, "runner.env");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the configuration", () => {
  const fault = (variables: Record<string, string>) => {
    try {
      readConfiguration(SETTINGS, {}, variables);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it("takes no token of another kind for a registration token, and shows none", () => {
    const token = (text: string) => fault({ SHIPFOX_RUNNER_REGISTRATION_TOKEN: text });
    expect(token("sf_pat_hunter2")).toContain(
      'SHIPFOX_RUNNER_REGISTRATION_TOKEN: expected a registration token (sf_mrt_…), but this is a token of another kind (sf_pat_…); make one with "shipfox runners add"',
    );
    expect(token("hunter2")).toContain("but this is none");
    expect(token("sf_mrt_a b")).toContain("but this is none");
    for (const text of ["sf_pat_hunter2", "hunter2"]) expect(token(text)).not.toContain("hunter2");
    expect(token("sf_mrt_hunter2")).toBeNull();
  });

  it("says what an address of the engine looks like", () => {
    for (const wrong of ["docker", "ftp://x", "tcp://"]) {
      expect(fault({ DOCKER_HOST: wrong })).toContain(
        `DOCKER_HOST: expected a socket such as unix:///run/docker.sock, or an address such as tcp://127.0.0.1:2375, but it is "${wrong}"`,
      );
    }
    for (const good of ["unix:///run/docker.sock", "/run/docker.sock", "tcp://127.0.0.1:2375", "https://[::1]:1"])
      expect(fault({ DOCKER_HOST: good })).toBeNull();
  });
});

describe("the configuration file", () => {
  it("counts less than the environment, which counts less than a flag; an empty variable hides nothing", () => {
    writeFileSync(file, "SHIPFOX_RUNNER_CONCURRENCY=2\nSHIPFOX_RUNNER_NAME=file\nSHIPFOX_RUNNER_LABELS=file\n");
    const env = {
      SHIPFOX_RUNNER_CONFIG_FILE: file,
      SHIPFOX_RUNNER_CONCURRENCY: "3",
      SHIPFOX_RUNNER_NAME: "",
      SHIPFOX_RUNNER_LABELS: "env",
    };
    const config = readConfiguration(SETTINGS, env, { SHIPFOX_RUNNER_LABELS: "flag" });
    expect(config).toMatchObject({ concurrency: 3, name: "file", labels: ["flag"] });
  });

  it("is read as systemd reads an EnvironmentFile", () => {
    const text = "\uFEFF# c\r\n; c\n\n SHIPFOX_RUNNER_NAME = \"a b\" \nSHIPFOX_RUNNER_IMAGE='x=$Y'\nNO_PROXY=a,b\n";
    expect(parseConfigurationFile(SETTINGS, text, file)).toEqual({
      SHIPFOX_RUNNER_NAME: "a b",
      SHIPFOX_RUNNER_IMAGE: "x=$Y",
      NO_PROXY: "a,b",
    });
  });

  it("is refused whole, with every wrong line and its number", () => {
    const text = "nonsense\nSHIPFOX_RUNNER_LABLES=x\nNO_PROXY=a\nNO_PROXY=b\nSHIPFOX_RUNNER_CONFIG_FILE=other\n";
    expect(() => parseConfigurationFile(SETTINGS, text, "f")).toThrow(
      /f is not valid:\n {2}line 1: expected NAME=value\n {2}line 2: SHIPFOX_RUNNER_LABLES is not .*\n {2}line 4: NO_PROXY is set a second time\n {2}line 5: /,
    );
  });

  it("may hold a secret only when nobody else can read it", () => {
    writeFileSync(file, "SHIPFOX_RUNNER_REGISTRATION_TOKEN=sf_mrt_x\n");
    chmodSync(file, 0o640);
    expect(() => readConfiguration(SETTINGS, {}, { SHIPFOX_RUNNER_CONFIG_FILE: file })).toThrow(/chmod 600/);
    chmodSync(file, 0o600);
    expect(readConfiguration(SETTINGS, {}, { SHIPFOX_RUNNER_CONFIG_FILE: file }).registrationToken).toBe("sf_mrt_x");
  });

  it("says what keeps it from being read", () => {
    expect(() => readConfiguration(SETTINGS, { SHIPFOX_RUNNER_CONFIG_FILE: join(folder, "none") }, {})).toThrow(
      /cannot be read: ENOENT/,
    );
  });

  it("keeps every value that can stand on a line", () => {
    const names = Object.values(SETTINGS).map(({ variable }) => variable);
    const name = fc.constantFrom(...names.filter((variable) => variable !== SETTINGS.configFile.variable));
    const value = fc.string({ unit: "binary" }).filter((text) => !/[\r\n]/.test(text));
    fc.assert(
      fc.property(name, value, (variable, text) => {
        expect(parseConfigurationFile(SETTINGS, `${variable}="${text}"\n`, "f")).toEqual({ [variable]: text });
      }),
    );
  });

  it("never fails otherwise than with a list of its wrong lines", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          parseConfigurationFile(SETTINGS, text, "f");
        } catch (error) {
          expect((error as Error).name).toBe("ConfigError");
        }
      }),
    );
  });
});
