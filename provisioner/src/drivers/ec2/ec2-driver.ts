import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Driver, ProviderError } from "../driver.ts";
import { type Ec2Machine, type Ec2Settings, ec2MachineSchema, ec2SettingsSchema } from "./options.ts";

const OTHERS = 0o077;

/** Instances of Amazon EC2. */
export const ec2Driver: Driver<Ec2Settings, Ec2Machine> = {
  kind: "ec2",
  settingsSchema: ec2SettingsSchema,
  machineSchema: ec2MachineSchema,
  sandboxes: ["host", "docker"],
  loopback: {
    reachable: false,
    hint: "give runner_api_url the address under which the network of the machines reaches the control plane",
  },

  async open(settings, { baseDir }) {
    if (settings.credentials_file !== undefined) await checkCredentials(resolve(baseDir, settings.credentials_file));
    // Amazon's SDK is large, and nobody else needs it.
    const { Ec2Provider } = await import("./ec2-provider.ts");
    return new Ec2Provider(settings, baseDir);
  },
};

async function checkCredentials(path: string): Promise<void> {
  const { mode } = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const { code = "unknown fault" } = cause;
    throw new ProviderError("refused", `${path} cannot be read (${code})`, { cause });
  });
  if ((mode & OTHERS) !== 0)
    throw new ProviderError("refused", `${path} holds a secret and others may read it; run "chmod 600 ${path}"`);
}
