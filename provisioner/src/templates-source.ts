import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "@shipfox/shared/config";
import type { Logger } from "@shipfox/shared/logger";
import { DRIVERS } from "./drivers/registry.ts";
import type { Driver } from "./drivers/driver.ts";
import { describeFault, readTemplatesFile } from "./templates/read-templates-file.ts";
import type { TemplatesFile } from "./templates/template.ts";

/** Throws ConfigError with every fault and its place. */
export function loadTemplates(path: string, apiUrl: string): TemplatesFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(
      `The templates file ${path} cannot be read: ${(error as Error).message}. Name another with --templates-file or SHIPFOX_PROVISIONER_TEMPLATES_FILE.`,
    );
  }
  const result = readTemplatesFile(text, { drivers: DRIVERS, apiUrl });
  if (result.ok) return result.file;
  throw new ConfigError(result.faults.map((fault) => describeFault(path, fault)).join("\n"));
}

/** For people: `1 template`, `2 templates`. */
export function countTemplates({ templates }: TemplatesFile): string {
  return `${templates.length} ${templates.length === 1 ? "template" : "templates"}`;
}

export function driverOf(file: TemplatesFile): Driver {
  const driver = Object.hasOwn(DRIVERS, file.provider.kind) ? DRIVERS[file.provider.kind] : undefined;
  if (!driver) throw new ConfigError(`There is no driver "${file.provider.kind}".`);
  return driver;
}

/** The templates in use. A file that is wrong, or of another pool or provider, changes nothing. */
export class TemplatesSource {
  private readonly path: string;
  private readonly apiUrl: string;
  private readonly logger: Logger;
  private stamp: string;
  current: TemplatesFile;
  /** Why the file on the disk is not the one in use. */
  fault: string | null = null;

  constructor(path: string, apiUrl: string, logger: Logger) {
    this.path = path;
    this.apiUrl = apiUrl;
    this.logger = logger;
    this.stamp = stampOf(path);
    this.current = loadTemplates(path, apiUrl);
  }

  /** Reads the file again when it has changed, or when `always`. True when there are new templates. */
  reload(always: boolean): boolean {
    const stamp = stampOf(this.path);
    if (stamp === this.stamp && !always) return false;
    this.stamp = stamp;
    try {
      const next = loadTemplates(this.path, this.apiUrl);
      const identity = ({ pool, provider }: TemplatesFile) => JSON.stringify([pool, provider]);
      if (identity(next) !== identity(this.current))
        throw new ConfigError("The pool or the provider is another one: that needs a restart, after a drain.");
      this.current = next;
      this.fault = null;
      this.logger.info({ templates: next.templates.length }, "templates reloaded");
      return true;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.fault = error.message;
      this.logger.error({ error: error.message }, "the templates file is refused; the former one stays in use");
      return false;
    }
  }
}

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : "absent";
}
