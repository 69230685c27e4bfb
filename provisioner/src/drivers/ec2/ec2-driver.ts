import { resolve } from "node:path";
import type { Driver } from "../driver.ts";
import { checkSecretFile } from "../secret-file.ts";
import { type Ec2Machine, type Ec2Settings, ec2MachineSchema, ec2SettingsSchema } from "./options.ts";

/** Instances of Amazon EC2. */
export const ec2Driver: Driver<Ec2Settings, Ec2Machine> = {
  kind: "ec2",
  settingsSchema: ec2SettingsSchema,
  machineSchema: ec2MachineSchema,
  sandboxes: ["host", "docker"],
  loopback: {
    leadsTo: "nowhere",
    hint: "give runner_api_url the address under which the network of the machines reaches the control plane",
  },

  async open(settings, { baseDir }) {
    if (settings.credentials_file !== undefined) await checkSecretFile(resolve(baseDir, settings.credentials_file));
    // Amazon's SDK is large, and nobody else needs it.
    const { Ec2Provider } = await import("./ec2-provider.ts");
    return new Ec2Provider(settings, baseDir);
  },
};
