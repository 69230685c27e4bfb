import { z } from "zod";
import {
  type CreateRequest,
  type InstanceTags,
  type MachineState,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "../driver.ts";
import { labelsOf, ownerLabels, sameTags, tagsOf, TEMPLATE_LABEL } from "../tag-labels.ts";
import { HetznerApi } from "./api.ts";
import { Catalog } from "./catalog.ts";
import { checkProject, missingImage, missingThing } from "./check-project.ts";
import { HetznerRefusal } from "./faults.ts";
import { type HetznerMachine, LABEL_VALUE, type Reference } from "./options.ts";
import { userData } from "./user-data.ts";

/** Nothing is promised about it; lists have not been seen to lag. */
const LIST_LAG_MS = 15_000;
const MAX_LABEL_CHARS = 63;
/** Codes that a name may have caused that no longer stands for what it did. */
const STALE = new Set(["invalid_input", "not_found"]);

const STATES: Readonly<Record<string, MachineState>> = {
  initializing: "starting",
  starting: "starting",
  rebuilding: "starting",
  running: "running",
  // It moves to another host without being turned off.
  migrating: "running",
  stopping: "stopping",
  deleting: "stopping",
  // It costs as much as one that runs, until it is deleted.
  off: "stopped",
};

const serverSchema = z.object({
  id: z.int(),
  name: z.string(),
  status: z.string(),
  labels: z.record(z.string(), z.string()),
});
const createdSchema = z.object({ server: serverSchema.pick({ id: true }) });
const oneSchema = z.object({ server: serverSchema });

type Request = CreateRequest<HetznerMachine>;

/** Servers of one project. What is known of a machine stands in the labels of its server; its name makes it the only one. */
export class HetznerProvider implements Provider<HetznerMachine> {
  readonly listLagMs = LIST_LAG_MS;
  readonly #api: HetznerApi;
  readonly #catalog: Catalog;

  constructor(api: HetznerApi) {
    this.#api = api;
    this.#catalog = new Catalog(api);
  }

  check(machines: readonly HetznerMachine[], signal: AbortSignal): Promise<readonly string[]> {
    return checkProject(this.#api, machines, HetznerApi.bounded(signal));
  }

  async create(request: Request, signal: AbortSignal): Promise<{ readonly providerId: string }> {
    const until = HetznerApi.bounded(signal);
    const order = await this.#order(request, until);
    const { locations } = request.machine;
    let fullest: HetznerRefusal | null = null;
    for (const location of locations.length === 0 ? [undefined] : locations) {
      try {
        const call = { method: "POST", path: "servers", signal: until, what: "the creation of a server" } as const;
        const { server } = await this.#api.call(createdSchema, { ...call, json: { ...order, location } });
        return { providerId: String(server.id) };
      } catch (error) {
        if (!(error instanceof HetznerRefusal)) throw error;
        if (error.code === "uniqueness_error") return this.#findFormer(request, until);
        if (STALE.has(error.code)) this.#catalog.forget();
        if (error.fault !== "no_capacity") throw error;
        fullest = error;
      }
    }
    const where = locations.length === 0 ? "" : ` (tried ${locations.join(", ")})`;
    throw new ProviderError("no_capacity", `${fullest?.message}${where}`, { cause: fullest });
  }

  async list(owner: Omit<InstanceTags, "instance">, signal: AbortSignal): Promise<readonly ObservedMachine[]> {
    const labels = Object.entries(checked(ownerLabels(owner)));
    const servers = await this.#api.list(serverSchema, {
      path: "servers",
      query: { label_selector: labels.map(([key, value]) => `${key}==${value}`).join(","), sort: "id:asc" },
      signal: HetznerApi.bounded(signal),
      what: "the list of servers",
    });
    return servers
      .filter((server) => labels.every(([key, value]) => server.labels[key] === value))
      .map((server) => ({
        providerId: String(server.id),
        tags: tagsOf(server.labels),
        state: STATES[server.status] ?? "running",
      }));
  }

  async delete({ providerId, tags }: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void> {
    const until = HetznerApi.bounded(signal);
    const path = `servers/${encodeURIComponent(providerId)}`;
    const found = await this.#api.find(oneSchema, { method: "GET", path, signal: until, what: "a look at a server" });
    if (found === null) return;
    if (!sameTags(tagsOf(found.server.labels), tags))
      throw new ProviderError("refused", `server ${providerId} does not carry exactly the expected labels`);
    if (found.server.status === "deleting") return;
    await this.#api.remove({ path, signal: until, what: "the deletion of a server" });
  }

  /** The API shows none. */
  async readConsole(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {
    this.#api.close();
  }

  /** The body of the order, but for the location. */
  async #order({ name, tags, templateKey, machine, ...start }: Request, signal: AbortSignal): Promise<object> {
    const ids = (kind: "networks" | "firewalls") =>
      Promise.all(machine[kind].map((thing) => this.#idOf(kind, thing, signal)));
    return {
      name,
      server_type: machine.server_type,
      image: machine.image ?? (await this.#snapshot(machine, signal)),
      ssh_keys: machine.ssh_keys,
      networks: await ids("networks"),
      firewalls: (await ids("firewalls")).map((firewall) => ({ firewall })),
      public_net: { enable_ipv4: machine.ipv4, enable_ipv6: machine.ipv6 },
      labels: { ...machine.labels, ...checked(labelsOf(tags)), [TEMPLATE_LABEL]: asLabelValue(templateKey) },
      user_data: userData(start),
      start_after_create: true,
    };
  }

  async #snapshot(machine: HetznerMachine, signal: AbortSignal): Promise<number> {
    const type = await this.#catalog.serverType(machine.server_type, signal);
    if (type === null) throw new ProviderError("refused", `there is no server type ${machine.server_type}`);
    const image = await this.#catalog.snapshot(machine.image_selector ?? "", type.architecture, signal);
    if (image === null) throw new ProviderError("refused", missingImage(machine, type));
    return image.id;
  }

  async #idOf(collection: "networks" | "firewalls", thing: Reference, signal: AbortSignal): Promise<number> {
    if (typeof thing === "number") return thing;
    const found = await this.#catalog.find(collection, thing, signal);
    if (found === null) throw new ProviderError("refused", missingThing(collection, thing));
    return found.id;
  }

  /** The server that has the name already: that of an earlier call for the same instance. */
  async #findFormer({ name, tags }: Request, signal: AbortSignal): Promise<{ providerId: string }> {
    const what = "a look for a server by its name";
    const [former] = await this.#api.list(serverSchema, { path: "servers", query: { name }, signal, what });
    if (former === undefined)
      throw new ProviderError("unavailable", `the name ${name} is taken, but no server is listed by it yet`, {
        mayHaveHappened: true,
      });
    if (!sameTags(tagsOf(former.labels), tags))
      throw new ProviderError("refused", `there is a server ${name} with other labels`);
    return { providerId: String(former.id) };
  }
}

/** Labels whose values the API takes as they are. */
function checked(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const value of Object.values(labels))
    if (value === "" || !LABEL_VALUE.test(value))
      throw new ProviderError("refused", `${JSON.stringify(value)} cannot be the value of a label at Hetzner Cloud`);
  return labels;
}

/** For people, so that what does not fit may be left out. */
function asLabelValue(text: string): string {
  return text
    .slice(0, MAX_LABEL_CHARS)
    .replaceAll(/[^A-Za-z0-9._-]/g, "_")
    .replaceAll(/^[._-]+|[._-]+$/g, "");
}
