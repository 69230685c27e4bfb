import { isIPv4 } from "node:net";
import { z } from "zod";
import { LOOPBACK_NAMES } from "../loopback.ts";

const MAX_CPUS = 1_024;
const MIN_CPUS = 0.1;
const MIN_MEMORY_MIB = 64;
const MAX_MEMORY_MIB = 16 * 1024 ** 2;
const MIN_PIDS = 64;
const MAX_PIDS = 4_194_304;
const MAX_DISK_GIB = 64 * 1024;
const MAX_TEXT_CHARS = 4_096;
const MAX_LABELS = 32;
const DEFAULT_PORT = "2376";

const path = z.string().min(1).max(MAX_TEXT_CHARS);

export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: string; readonly isLoopback: boolean };

/** `unix:///run/docker.sock` or `tcp://host:port`; null when it is neither. */
export function parseEngineAddress(text: string): EngineAddress | null {
  if (/^unix:\/\/\/./.test(text)) return { socketPath: text.slice("unix://".length) };
  const url = text.startsWith("tcp://") ? URL.parse(text.replace("tcp:", "http:")) : null;
  if (url === null || url.pathname !== "/" || url.search !== "" || url.username !== "") return null;
  return { host: url.hostname, port: url.port || DEFAULT_PORT, isLoopback: LOOPBACK_NAMES.has(url.hostname) };
}

/** Where a container would share the network of the host or of another container, it could reach what only they may. */
const network = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, "expected the name of a network, such as shipfox-runners")
  .refine((name) => !["host", "none", "default", "bridge"].includes(name), "expected a network of its own for runners");

const subnet = z.string().refine((text) => {
  const [address = "", prefix] = text.split("/");
  return isIPv4(address) && /^(?:1[6-9]|2[0-8])$/.test(prefix ?? "");
}, "expected an IPv4 network between /16 and /28, such as 10.214.0.0/24");

/** The first address of a subnet, which is the host's: `10.214.0.1` of `10.214.0.0/24`. */
export function gatewayOf(cidr: string): string {
  const [address = "", prefix] = cidr.split("/");
  const size = 2 ** (32 - Number(prefix));
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = Math.floor(number / size) * size + 1;
  return [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join(".");
}

export const dockerSettingsSchema = z
  .strictObject({
    /** The engine: a socket, or an address with TLS. */
    host: z
      .string()
      .max(MAX_TEXT_CHARS)
      .refine((text) => parseEngineAddress(text) !== null, "expected unix:///run/docker.sock or tcp://host:port")
      .default("unix:///var/run/docker.sock"),
    /** PEM files: what the engine's certificate is checked by, and what this client shows. */
    tls: z.strictObject({ ca_file: path, cert_file: path, key_file: path }).optional(),
    /** The bridge of the runners' containers; made with `subnet` when it is not there, used as it is when it is. */
    network: network.default("shipfox-runners"),
    subnet: subnet.default("10.214.0.0/24"),
    /** Further labels of each container, for people. */
    labels: z
      .record(
        z.string().regex(/^(?!io\.shipfox\.)[a-z0-9][a-z0-9._/-]{0,127}$/, "expected a label that is not io.shipfox's"),
        z.string().max(MAX_TEXT_CHARS),
      )
      .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `expected at most ${MAX_LABELS} labels`)
      .default({}),
  })
  .superRefine(({ host, tls }, context) => {
    const address = parseEngineAddress(host);
    if (address === null || "socketPath" in address || address.isLoopback || tls !== undefined) return;
    const message = "an engine on another host needs tls: whoever can talk to it is root there";
    context.addIssue({ code: "custom", path: ["tls"], message });
  });
export type DockerSettings = z.infer<typeof dockerSettingsSchema>;

export const dockerMachineSchema = z.strictObject({
  /** On the engine's machine already; nothing is pulled. It brings the runner, as `scripts/runner-image` makes it. */
  image: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$/, "expected the name of an image, such as shipfox-runner:0.1.0"),
  cpus: z.number().min(MIN_CPUS).max(MAX_CPUS).default(2),
  /** No swap comes to it. */
  memory_mib: z.int().min(MIN_MEMORY_MIB).max(MAX_MEMORY_MIB).default(2_048),
  pids: z.int().min(MIN_PIDS).max(MAX_PIDS).default(1_024),
  /** Most that the container may write, where the engine's storage driver can limit it (overlay2 on XFS with project quotas). */
  disk_gib: z.int().min(1).max(MAX_DISK_GIB).optional(),
  /** Keeps /tmp in memory, as part of `memory_mib`. */
  tmpfs_mib: z.int().min(1).max(MAX_MEMORY_MIB).optional(),
  /** Another runtime that the engine knows, such as runsc. */
  runtime: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "expected the name of a runtime")
    .optional(),
});
export type DockerMachine = z.infer<typeof dockerMachineSchema>;
