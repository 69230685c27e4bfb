import { z } from "zod";
import type { HetznerApi } from "./api.ts";
import type { Reference } from "./options.ts";

/** So long a name stands for the same thing: it saves requests, of which an hour has 3,600. */
const KEPT_MS = 60_000;

const architecture = z.string();
const serverTypeSchema = z.object({
  id: z.int(),
  name: z.string(),
  architecture,
  /** Gigabytes. */
  disk: z.number(),
  locations: z.array(
    z.object({ name: z.string(), deprecation: z.object({ unavailable_after: z.string() }).nullish().catch(null) }),
  ),
});
export type ServerType = z.infer<typeof serverTypeSchema>;

const imageSchema = z.object({
  id: z.int(),
  name: z.string().nullable(),
  status: z.string(),
  architecture,
  /** Gigabytes. */
  disk_size: z.number(),
});
export type Image = z.infer<typeof imageSchema>;

const namedSchema = z.object({ id: z.int(), name: z.string() });

/** Collections of which a machine names things. */
export type Collection = "networks" | "firewalls" | "ssh_keys";

/** What a project of Hetzner Cloud offers, looked up by name or id. Null when it is not there. */
export class Catalog {
  readonly #api: HetznerApi;
  readonly #kept = new Map<string, { readonly value: unknown; readonly until: number }>();

  constructor(api: HetznerApi) {
    this.#api = api;
  }

  /** After something named turned out not to be there. */
  forget(): void {
    this.#kept.clear();
  }

  async locations(signal: AbortSignal): Promise<readonly string[]> {
    const all = await this.#api.list(namedSchema, { path: "locations", signal, what: "the list of locations" });
    return all.map(({ name }) => name);
  }

  serverType(name: string, signal: AbortSignal): Promise<ServerType | null> {
    return this.#keep(`server_types ${name}`, () => this.#byName("server_types", serverTypeSchema, { name }, signal));
  }

  /** By name the one of `fitting`: system images have one name for all architectures. */
  image(image: Reference, fitting: string, signal: AbortSignal): Promise<Image | null> {
    if (typeof image === "number") return this.#byId("images", imageSchema, image, signal);
    return this.#byName("images", imageSchema, { name: image, architecture: fitting }, signal);
  }

  /** The newest one. */
  snapshot(selector: string, fitting: string, signal: AbortSignal): Promise<Image | null> {
    const query = {
      type: "snapshot",
      status: "available",
      label_selector: selector,
      architecture: fitting,
      sort: "created:desc",
    };
    return this.#keep(`snapshots ${fitting} ${selector}`, () => this.#byName("images", imageSchema, query, signal));
  }

  find(collection: Collection, thing: Reference, signal: AbortSignal): Promise<{ readonly id: number } | null> {
    if (typeof thing === "number") return this.#byId(collection, namedSchema, thing, signal);
    return this.#keep(`${collection} ${thing}`, () => this.#byName(collection, namedSchema, { name: thing }, signal));
  }

  async #byId<Item extends z.ZodType>(collection: string, item: Item, id: number, signal: AbortSignal) {
    const kind = collection.slice(0, -1);
    const schema = z.object({ [kind]: item });
    const answer = await this.#api.find(schema, {
      method: "GET",
      path: `${collection}/${id}`,
      signal,
      what: `a look at ${wordsFor(collection)}`,
    });
    return answer === null ? null : (answer[kind] as z.output<Item>);
  }

  /** The first of those that the query finds. */
  async #byName<Item extends z.ZodType>(
    collection: string,
    item: Item,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) {
    const schema = z.object({ [collection]: z.array(item) });
    const call = { method: "GET", path: collection, query, signal, what: `a look at ${wordsFor(collection)}` } as const;
    const { [collection]: found = [] } = await this.#api.call(schema, call);
    return found[0] ?? null;
  }

  async #keep<Value>(key: string, look: () => Promise<Value | null>): Promise<Value | null> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && performance.now() < kept.until) return kept.value as Value;
    const value = await look();
    if (value === null) this.#kept.delete(key);
    else this.#kept.set(key, { value, until: performance.now() + KEPT_MS });
    return value;
  }
}

function wordsFor(collection: string): string {
  return collection.replace("_", " ");
}
