import { nearest } from "@shipfox/shared/nearest";
import { SETTINGS } from "./config.ts";

const PREFIX = "SHIPFOX_";
/** What the other programs of Shipfox read, and what jobs and hooks of a runner are given. */
const OF_OTHERS = new RegExp(
  `^${PREFIX}(?:(?:RUNNER|PROVISIONER|DOCKERD|JOB|STEP|PROJECT|WORKFLOW|WORKSPACE|SANDBOX|QEMU|DEMO|TEST)(?:_|$)|(?:RUN_(?:ID|NUMBER|ATTEMPT)|API_URL|URL|TOKEN|CONTEXT|CONFIG_DIR|SETUP_TOKEN|PASSWORD|INVITATION|VERSION|OUTPUT|ENV|PATH|ANNOTATIONS_DIR|POST_JOB|HOOK)(?:_FILE)?$)`,
);
/** What Kubernetes and Docker set for a service that is called shipfox. */
const OF_SERVICES = /_SERVICE_(?:HOST|PORT)|_PORT_\d+_(?:TCP|UDP)/;
const SERVICE_VALUE = /^(?:tcp|udp):\/\//;

const VARIABLES = Object.values(SETTINGS).map(({ variable }) => variable);
const KNOWN = new Set(
  Object.values(SETTINGS).flatMap((setting) =>
    setting.secret === true ? [setting.variable, `${setting.variable}_FILE`] : [setting.variable],
  ),
);
/** `SHIPFOX_SMTP_` and the like. */
const FAMILIES = new Set(VARIABLES.flatMap((variable) => familyOf(variable) ?? []));

/** One sentence for each variable that looks like a setting of the control plane and is none. Values are not shown. */
export function unknownSettings(env: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(env).flatMap(([name, value]) => {
    if (!name.startsWith(PREFIX) || value === undefined || value === "" || KNOWN.has(name)) return [];
    if (OF_OTHERS.test(name) || OF_SERVICES.test(name) || SERVICE_VALUE.test(value)) return [];
    const meant = meantBy(name);
    if (meant !== null) return [`${name} is no setting and has no effect; did you mean ${meant}?`];
    if (!FAMILIES.has(familyOf(name) ?? "")) return [];
    return [`${name} is no setting and has no effect; shipfox-control-plane config lists all`];
  });
}

function meantBy(name: string): string | null {
  const bare = name.slice(PREFIX.length);
  return KNOWN.has(bare) ? bare : nearest(name, [...KNOWN]);
}

function familyOf(variable: string): string | null {
  return /^SHIPFOX_[A-Z0-9]+_/.exec(variable)?.[0] ?? null;
}
