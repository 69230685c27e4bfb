import { type Mask, parseAssignments, shown } from "./assignments.ts";

export const MAX_ENV_FILE_BYTES = 256 * 1024;
/** Linux hands a program at most 128 KiB in one variable, name included. */
const MAX_ENV_VALUE_BYTES = 64 * 1024;
const NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/;

/** Variables that change how shells and other programs start, before they do what a step asks of them. */
const STARTUP_NAMES: ReadonlySet<string> = new Set([
  "NODE_OPTIONS",
  "BASH_ENV",
  "SHELLOPTS",
  "BASHOPTS",
  "GLIBC_TUNABLES",
  "GCONV_PATH",
]);
/** Where libraries are looked for; compilers and language runtimes need these set. */
const ALLOWED_LOADER_NAMES: ReadonlySet<string> = new Set(["LD_LIBRARY_PATH", "LD_RUN_PATH"]);

export type ParsedEnv = { kind: "variables"; variables: Record<string, string> } | { kind: "invalid"; message: string };

/** Parses what a step wrote to SHIPFOX_ENV: variables for the later steps of its job. */
export function parseEnvFile(content: string, masker: Mask): ParsedEnv {
  const parsed = parseAssignments(content, {
    file: "SHIPFOX_ENV",
    maxValueBytes: MAX_ENV_VALUE_BYTES,
    masker,
    refuseKey: (name) => refuseVariable(name, masker),
  });
  return parsed.kind === "invalid" ? parsed : { kind: "variables", variables: Object.fromEntries(parsed.values) };
}

/** Why a step may not set a variable for later steps, or null. */
export function refuseVariable(name: string, masker: Mask): string | null {
  if (!NAME_PATTERN.test(name))
    return `${shown(name, masker)} is not the name of a variable: it starts with a letter or "_" and goes on with letters, digits or "_"`;
  if (name === "SHIPFOX" || name.startsWith("SHIPFOX_")) return `${name} is reserved: SHIPFOX_… is set by the runner`;
  if (name === "PATH") return `${name} cannot be set here; write folders to the file that SHIPFOX_PATH names`;
  const isLoaders = name.startsWith("LD_") || name.startsWith("DYLD_");
  if (STARTUP_NAMES.has(name) || (isLoaders && !ALLOWED_LOADER_NAMES.has(name)))
    return `${name} cannot be set for later steps: it changes how programs start; set it for one command, or in env of a step`;
  return null;
}
