import { readFileSync } from "node:fs";
import { withoutEmpty, type Variables } from "./configuration.ts";

/** A service of this machine as install.sh makes it. */
export interface InstalledService {
  /** The file of its settings. */
  readonly file: string;
  /** Throws ConfigError when the service would refuse that file. */
  readonly parse: (text: string, file: string) => Variables;
  /** The variables that name the service; where one is set, it is not the installed one that is meant. */
  readonly names: readonly string[];
}

/**
 * The environment of a command that looks at a service: that of the caller, over the settings of the service that is installed here.
 * `note` is told which file that was. The caller's alone when there is no such file, when the caller may not read it, or when the
 * caller names another service.
 */
export function environmentOfService(
  { file, parse, names }: InstalledService,
  { env, flags, note }: { env: Variables; flags: Variables; note: (text: string) => void },
): Variables {
  if (names.some((name) => env[name] || flags[name])) return env;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return env;
  }
  const settings = parse(text, file);
  note(`with the settings of the installed service, ${file}`);
  return { ...settings, ...withoutEmpty(env) };
}
