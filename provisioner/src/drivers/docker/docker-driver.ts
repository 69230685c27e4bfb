import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Driver, ProviderError } from "../driver.ts";
import { DockerProvider } from "./docker-provider.ts";
import { Engine, type TlsFiles } from "./engine.ts";
import { type DockerMachine, type DockerSettings, dockerMachineSchema, dockerSettingsSchema } from "./options.ts";

/** Containers of a Docker Engine, from 20.10 on. */
export const dockerDriver: Driver<DockerSettings, DockerMachine> = {
  kind: "docker",
  settingsSchema: dockerSettingsSchema,
  machineSchema: dockerMachineSchema,
  // A container with an engine would be root on its host.
  sandboxes: ["host"],
  loopback: {
    leadsTo: "the-machine",
    hint: "let the control plane also listen on the bridge of the containers (--also-listen 10.214.0.1:16101), and give that address to runner_api_url",
  },

  async open(settings, { baseDir }) {
    const tls = settings.tls === undefined ? null : await readTls(settings.tls, baseDir);
    return new DockerProvider(new Engine(settings, tls), settings);
  },
};

async function readTls(files: NonNullable<DockerSettings["tls"]>, baseDir: string): Promise<TlsFiles> {
  const read = async (file: string) => {
    const path = resolve(baseDir, file);
    try {
      return await readFile(path);
    } catch (cause) {
      const { code = "unknown fault" } = cause as NodeJS.ErrnoException;
      throw new ProviderError("refused", `${path}, which tls names, cannot be read (${code})`, { cause });
    }
  };
  return { ca: await read(files.ca_file), cert: await read(files.cert_file), key: await read(files.key_file) };
}
