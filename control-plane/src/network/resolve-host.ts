import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP, isIPv4 } from "node:net";

const QUERY_TIMEOUT_MS = 3_000;
const QUERY_TRIES = 2;
const HOSTS_FILE = "/etc/hosts";

export interface HostAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** All addresses of a host, which may be a name or an address; rejects when there is none. */
export type ResolveHost = (host: string) => Promise<HostAddress[]>;

export interface ResolverOptions {
  /** `address:port` of name servers; default: those of the machine. */
  readonly servers?: readonly string[];
}

/**
 * Asks the machine's hosts file, then DNS for both families. Not `dns.lookup`, which keeps one of the few threads that
 * also write the logs for as long as a name server likes. A name is taken as it stands: no search list is tried.
 */
export function createResolver({ servers }: ResolverOptions = {}): ResolveHost {
  return async (host) => {
    if (isIP(host) !== 0) return [toAddress(host)];
    const known = await fromHostsFile(host);
    if (known.length > 0) return known;
    const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
    if (servers) resolver.setServers(servers);
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found.map(toAddress);
    throw new Error(`the name ${host} has no address`, {
      cause: answers.map((answer) => (answer.status === "rejected" ? answer.reason : null)),
    });
  };
}

async function fromHostsFile(host: string): Promise<HostAddress[]> {
  const name = host.toLowerCase().replace(/\.$/, "");
  const text = await readFile(HOSTS_FILE, "utf8").catch(() => "");
  const words = text.split("\n").map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
  return words
    .filter(([address = "", ...names]) => isIP(address) !== 0 && names.some((known) => known.toLowerCase() === name))
    .map(([address = ""]) => toAddress(address));
}

function toAddress(address: string): HostAddress {
  return { address, family: isIPv4(address) ? 4 : 6 };
}
