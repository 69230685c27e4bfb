import { readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { type ConfigOf, setting, text } from "@shipfox/shared/config";
import { z } from "zod";

const MAX_PORT = 65_535;
const HOUR_MS = 3_600_000;
const TOKEN = /^sf_pt_\S+$/;

const optionalText = z.string().optional();

/** Every setting of the provisioner: its variable, its default, one line of help. `--help` and the docs are made from it. */
export const SETTINGS = {
  configFile: setting(
    "SHIPFOX_PROVISIONER_CONFIG_FILE",
    optionalText,
    "File of NAME=value lines with any of these settings.",
  ),
  apiUrl: setting(
    "SHIPFOX_API_URL",
    z.url({ protocol: /^https?$/, error: "expected an http or https URL" }).default("http://localhost:16101"),
    "Address of the control plane.",
  ),
  token: setting(
    "SHIPFOX_PROVISIONER_TOKEN",
    z.string().regex(TOKEN, "expected a provisioner token (sf_pt_…)").optional(),
    "Provisioner token (sf_pt_…).",
    { secret: true },
  ),
  templatesFile: setting(
    "SHIPFOX_PROVISIONER_TEMPLATES_FILE",
    z.string().default("/etc/shipfox/templates.yaml"),
    "Which machines to start; a change of it counts at once.",
  ),
  stateDir: setting(
    "SHIPFOX_PROVISIONER_STATE_DIR",
    z.string().default(defaultStateDir()),
    "Folder for the control socket and for what a driver keeps on this host.",
  ),
  convergeMs: setting(
    "SHIPFOX_PROVISIONER_CONVERGE_MS",
    text.integer(100, HOUR_MS, 10_000),
    "How often the provider's machines are compared with the records while nothing moves, in milliseconds.",
  ),
  caFile: setting("SHIPFOX_PROVISIONER_CA_FILE", optionalText, "PEM file with further certificate authorities."),
  metricsPort: setting(
    "SHIPFOX_PROVISIONER_METRICS_PORT",
    text.integer(0, MAX_PORT, -1).transform((value) => (value < 0 ? null : value)),
    "Port for /metrics, /healthz and /readyz; 0 takes a free one; default: none is opened.",
  ),
  metricsHost: setting(
    "SHIPFOX_PROVISIONER_METRICS_HOST",
    z.string().default("127.0.0.1"),
    "Address the metrics port listens on.",
  ),
  logLevel: setting("SHIPFOX_LOG_LEVEL", text.logLevel(), "fatal, error, warn, info, debug, trace or silent."),
};

export type ProvisionerConfig = ConfigOf<typeof SETTINGS>;

/** The usual authorities and those of the CA file in one PEM text; null without a CA file. Throws when it is not readable. */
export function certificateBundle({ caFile }: Pick<ProvisionerConfig, "caFile">): string | null {
  if (caFile === undefined) return null;
  return [...getCACertificates("default"), readFileSync(caFile, "utf8")].join("\n");
}

function defaultStateDir(): string {
  if (userInfo().uid === 0) return "/var/lib/shipfox-provisioner";
  return join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "shipfox-provisioner");
}
