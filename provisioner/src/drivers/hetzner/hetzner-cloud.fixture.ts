import { once } from "node:events";
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface CloudServer {
  id: number;
  name: string;
  status: string;
  labels: Record<string, string>;
  /** What was ordered; null for one that was planted. */
  order: Order | null;
}

export interface Order {
  name: string;
  server_type: string;
  image: string | number;
  location?: string;
  ssh_keys?: (string | number)[];
  networks?: number[];
  firewalls?: { firewall: number }[];
  labels?: Record<string, string>;
  user_data?: string;
  public_net?: { enable_ipv4: boolean; enable_ipv6: boolean };
}

type Token = "whole" | "read-only" | "breaks-lists";

interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

const MAX_PER_PAGE = 50;
const MAX_USER_DATA_BYTES = 32_768;
const LIMIT = 3_600;
const LABEL_KEY = /^(?:[a-z0-9][a-z0-9.-]*\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/;

class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: readonly string[];
  constructor(status: number, code: string, message: string, fields: readonly string[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** The part of Hetzner Cloud's API that a driver of machines needs, with one project, served on a loopback address. */
export class HetznerCloud {
  readonly tokens = new Map<string, Token>([
    ["token-whole", "whole"],
    ["token-read-only", "read-only"],
    ["token-breaks-lists", "breaks-lists"],
  ]);
  readonly servers = new Map<number, CloudServer>();
  readonly requests: { method: string; path: string; query: URLSearchParams }[] = [];
  readonly locations = ["fsn1", "nbg1", "hel1"].map((name, index) => ({ id: index + 1, name }));
  readonly server_types = [
    { id: 22, name: "cx23", architecture: "x86", disk: 40, locations: this.#offers(["fsn1", "nbg1", "hel1"]) },
    { id: 45, name: "cax11", architecture: "arm", disk: 40, locations: this.#offers(["fsn1", "hel1"]) },
    {
      id: 5,
      name: "old1",
      architecture: "x86",
      disk: 20,
      locations: [{ id: 1, name: "fsn1", deprecation: { unavailable_after: "2020-01-01T00:00:00+00:00" } }],
    },
  ];
  readonly images = [
    this.#image(1, "debian-13", "x86"),
    this.#image(2, "debian-13", "arm"),
    this.#image(101, null, "x86", { labels: { role: "runner" }, created: "2026-01-01T00:00:00+00:00" }),
    this.#image(102, null, "x86", { labels: { role: "runner" }, created: "2026-02-01T00:00:00+00:00" }),
    this.#image(103, null, "arm", { labels: { role: "runner" }, created: "2026-03-01T00:00:00+00:00", disk_size: 80 }),
    this.#image(104, null, "x86", {
      labels: { role: "runner" },
      status: "creating",
      created: "2026-04-01T00:00:00+00:00",
    }),
  ];
  readonly networks = [{ id: 71, name: "runners" }];
  readonly firewalls = [{ id: 81, name: "egress only" }];
  readonly ssh_keys = [{ id: 91, name: "ops" }];
  /** What a page has at most. */
  perPage = MAX_PER_PAGE;
  /** Locations without room, and what they answer. */
  readonly full = new Map<string, { status: number; code: string; message: string }>();
  /** Answers of the next orders, one each; of `afterwards` the server is made all the same, and null gives no answer. */
  readonly nextOrders: { reply: Reply | null; afterwards: boolean }[] = [];
  /** The next calls are answered with these, whatever they ask. */
  readonly nextCalls: Reply[] = [];
  /** While true, servers that are made are in no list yet. */
  listsLag = false;
  /** Called when a page of servers was answered. */
  onPage: (page: number) => void = () => {};
  readonly #unlisted = new Set<number>();
  readonly #http: HttpServer;
  #lastId = 1_000;

  private constructor() {
    this.#http = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<HetznerCloud> {
    const cloud = new HetznerCloud();
    cloud.#http.listen(0, "127.0.0.1");
    await once(cloud.#http, "listening");
    return cloud;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/v1`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, "close");
  }

  /** A running server that somebody else made. */
  plant(name: string, labels: Record<string, string>): CloudServer {
    this.#lastId += 1;
    const server = { id: this.#lastId, name, status: "running", labels, order: null };
    this.servers.set(server.id, server);
    return server;
  }

  called(method: string, path: string): number {
    return this.requests.filter((request) => request.method === method && request.path === path).length;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? "/", this.endpoint);
    const path = url.pathname.replace(/^\/v1\//, "");
    const { method = "" } = incoming;
    const body = await text(incoming);
    this.requests.push({ method, path, query: url.searchParams });
    const planned = this.nextCalls.shift();
    const reply = planned ?? this.#answer(method, path, url.searchParams, body, incoming.headers.authorization ?? "");
    if (reply === null) return void response.destroy();
    response.writeHead(reply.status, {
      "content-type": "application/json",
      "ratelimit-limit": String(LIMIT),
      "ratelimit-remaining": String(LIMIT - 1),
      "ratelimit-reset": String(Math.ceil(Date.now() / 1_000) + 1),
      ...reply.headers,
    });
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  }

  #answer(method: string, path: string, query: URLSearchParams, body: string, authorization: string): Reply | null {
    try {
      const token = this.tokens.get(authorization.replace(/^Bearer /, ""));
      if (token === undefined) throw new ApiError(401, "unauthorized", "unable to authenticate");
      if (method !== "GET" && token === "read-only")
        throw new ApiError(403, "token_readonly", "only read access is allowed with this token");
      if (token === "breaks-lists" && query.get("page") === "2")
        throw new ApiError(503, "unavailable", "the page is not there");
      const [collection = "", id] = path.split("/");
      if (method === "POST" && path === "servers") return this.#order(JSON.parse(body) as Order);
      if (method === "DELETE" && collection === "servers") return this.#delete(Number(id));
      if (method === "GET")
        return id === undefined ? this.#list(collection, query) : this.#show(collection, Number(id));
      throw new ApiError(404, "not_found", `no ${method} ${path}`);
    } catch (error) {
      if (error instanceof ApiError) return refusal(error);
      throw error;
    }
  }

  #order(order: Order): Reply | null {
    const planned = this.nextOrders.shift();
    if (planned && !planned.afterwards) return planned.reply;
    this.#validate(order);
    if ([...this.servers.values()].some(({ name }) => name === order.name))
      throw new ApiError(409, "uniqueness_error", "server name is already used", ["name"]);
    const full = this.full.get(order.location ?? "fsn1");
    if (full) throw new ApiError(full.status, full.code, full.message);
    this.#lastId += 1;
    const server: CloudServer = {
      id: this.#lastId,
      name: order.name,
      status: "initializing",
      labels: order.labels ?? {},
      order,
    };
    this.servers.set(server.id, server);
    if (this.listsLag) this.#unlisted.add(server.id);
    if (planned) return planned.reply;
    return { status: 201, body: { server: shown(server), action: { id: 1, status: "running" }, next_actions: [] } };
  }

  #validate(order: Order): void {
    const invalid = (field: string, why: string) =>
      new ApiError(422, "invalid_input", `invalid input in field '${field}'`, [`${field}: ${why}`]);
    if (typeof order.name !== "string" || !HOST_NAME.test(order.name)) throw invalid("name", "must be a host name");
    const type = this.server_types.find(({ name }) => name === order.server_type);
    if (!type) throw invalid("server_type", "server type not found");
    const image = this.images.find(
      ({ id, name, architecture }) =>
        id === order.image || (name === order.image && architecture === type.architecture),
    );
    if (!image) throw invalid("image", "image not found");
    if (image.architecture !== type.architecture) throw invalid("image", "image is incompatible with the server type");
    if (order.location !== undefined && !type.locations.some(({ name }) => name === order.location))
      throw new ApiError(422, "invalid_input", "unsupported location for server type");
    for (const id of order.networks ?? [])
      if (!this.networks.some((one) => one.id === id)) throw invalid("networks", "unknown");
    for (const { firewall } of order.firewalls ?? [])
      if (!this.firewalls.some(({ id }) => id === firewall)) throw invalid("firewalls", "unknown");
    for (const key of order.ssh_keys ?? [])
      if (!this.ssh_keys.some(({ id, name }) => id === key || name === key))
        throw invalid("ssh_keys", "SSH key not found");
    for (const [key, value] of Object.entries(order.labels ?? {}))
      if (!LABEL_KEY.test(key) || !LABEL_VALUE.test(value)) throw invalid("labels", `${key} is not a label`);
    if (Buffer.byteLength(order.user_data ?? "") > MAX_USER_DATA_BYTES) throw invalid("user_data", "too long");
  }

  #delete(id: number): Reply {
    if (!this.servers.delete(id)) throw notFound("server", id);
    return { status: 200, body: { action: { id: 2, status: "running" } } };
  }

  #show(collection: string, id: number): Reply {
    const found = this.#all(collection).find((one) => one.id === id);
    if (!found) throw notFound(collection, id);
    return { status: 200, body: { [collection.slice(0, -1)]: found } };
  }

  #list(collection: string, query: URLSearchParams): Reply {
    const wanted = selectorOf(query.get("label_selector"));
    const found = this.#all(collection)
      .filter((one) => collection !== "servers" || !this.#isUnlisted(one.id))
      .filter((one) =>
        ["name", "architecture", "status", "type"].every((key) => !query.has(key) || one[key] === query.get(key)),
      )
      .filter((one) =>
        wanted.every(([key, value]) => (one["labels"] as Record<string, string> | undefined)?.[key] === value),
      )
      .toSorted(orderOf(query.get("sort")));
    const page = Number(query.get("page") ?? 1);
    const perPage = Math.min(this.perPage, Number(query.get("per_page") ?? 25));
    const lastPage = Math.max(1, Math.ceil(found.length / perPage));
    const body = {
      [collection]: found.slice((page - 1) * perPage, page * perPage),
      meta: {
        pagination: {
          page,
          per_page: perPage,
          previous_page: page > 1 ? page - 1 : null,
          next_page: page < lastPage ? page + 1 : null,
          last_page: lastPage,
          total_entries: found.length,
        },
      },
    };
    if (collection === "servers") this.onPage(page);
    for (const server of this.servers.values()) if (server.status === "initializing") server.status = "running";
    return { status: 200, body };
  }

  #isUnlisted(id: number): boolean {
    if (!this.listsLag) this.#unlisted.clear();
    return this.#unlisted.has(id);
  }

  #all(collection: string): ({ id: number } & Record<string, unknown>)[] {
    if (collection === "servers") return [...this.servers.values()].map(shown);
    const { locations, server_types, images, networks, firewalls, ssh_keys } = this;
    const known = { locations, server_types, images, networks, firewalls, ssh_keys };
    const found = Object.hasOwn(known, collection) ? known[collection as keyof typeof known] : undefined;
    if (!found) throw new ApiError(404, "not_found", `no collection ${collection}`);
    return found;
  }

  #offers(names: readonly string[]) {
    return names.map((name, index) => ({
      id: index + 1,
      name,
      deprecation: null as { unavailable_after: string } | null,
    }));
  }

  #image(id: number, name: string | null, architecture: string, more: object = {}) {
    const type = name === null ? "snapshot" : "system";
    const created = "2025-01-01T00:00:00+00:00";
    return { id, name, type, architecture, status: "available", disk_size: 5, labels: {}, created, ...more };
  }
}

function shown({ id, name, status, labels }: CloudServer) {
  return { id, name, status, labels };
}

function refusal({ status, code, message, fields }: ApiError): Reply {
  const named = fields.map((field) => {
    const [name = "", ...rest] = field.split(": ");
    return { name, messages: rest };
  });
  return { status, body: { error: { code, message, details: named.length === 0 ? null : { fields: named } } } };
}

function notFound(what: string, id: number): ApiError {
  return new ApiError(404, "not_found", `${what} with ID '${id}' not found`);
}

/** `a==b,c=d`, all of which must hold. */
function selectorOf(selector: string | null): [string, string][] {
  if (selector === null) return [];
  return selector.split(",").map((part) => {
    const [key = "", value = ""] = part.split(/==?/);
    return [key, value];
  });
}

function orderOf(sort: string | null): (left: Record<string, unknown>, right: Record<string, unknown>) => number {
  const [key = "id", direction = "asc"] = (sort ?? "id:asc").split(":");
  const sign = direction === "desc" ? -1 : 1;
  return (left, right) => sign * (String(left[key]) < String(right[key]) ? -1 : 1);
}
