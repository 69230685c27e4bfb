import { resolve } from "node:path";
import type { Driver } from "../driver.ts";
import { readSecretFile } from "../secret-file.ts";
import { HetznerApi } from "./api.ts";
import { HetznerProvider } from "./hetzner-provider.ts";
import { type HetznerMachine, type HetznerSettings, hetznerMachineSchema, hetznerSettingsSchema } from "./options.ts";

/** Servers of a project of Hetzner Cloud. */
export const hetznerDriver: Driver<HetznerSettings, HetznerMachine> = {
  kind: "hetzner",
  settingsSchema: hetznerSettingsSchema,
  machineSchema: hetznerMachineSchema,
  sandboxes: ["host", "docker"],
  loopback: { leadsTo: "nowhere", hint: "give runner_api_url an address that servers of Hetzner Cloud reach" },

  async open(settings, { baseDir }) {
    const tokenFile = resolve(baseDir, settings.token_file);
    await readSecretFile(tokenFile);
    return new HetznerProvider(new HetznerApi(settings.endpoint, tokenFile));
  },
};
