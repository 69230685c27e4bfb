import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { ProvisionerConfig } from "./config.ts";
import type { Provider } from "./drivers/driver.ts";
import { driverOf } from "./templates-source.ts";
import type { TemplatesFile } from "./templates/template.ts";

/** Paths in the templates file start at its folder. Rejects with ProviderError. */
export function openProvider(config: ProvisionerConfig, file: TemplatesFile): Promise<Provider> {
  const stateDir = resolve(config.stateDir, "driver");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  return driverOf(file).open(file.provider.settings, { stateDir, baseDir: dirname(resolve(config.templatesFile)) });
}
