import { nearest } from "@shipfox/shared/nearest";
import { z } from "zod";
import { ProviderError } from "../driver.ts";
import type { HetznerApi } from "./api.ts";
import { Catalog, type Collection, type Image, type ServerType } from "./catalog.ts";
import { HetznerRefusal } from "./faults.ts";
import type { HetznerMachine, Reference } from "./options.ts";

const NOT_ALLOWED = new Set(["unauthorized", "forbidden", "token_readonly"]);

/** What keeps the machines from being made, a sentence each. Rejects when the API does not answer. */
export async function checkProject(
  api: HetznerApi,
  machines: readonly HetznerMachine[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const catalog = new Catalog(api);
  const problems = new Set<string>();
  try {
    const locations = await catalog.locations(signal);
    await checkRights(api, signal);
    for (const machine of machines)
      for await (const problem of problemsOf(machine, { catalog, locations, signal })) problems.add(problem);
  } catch (error) {
    if (!(error instanceof ProviderError) || error.fault !== "refused") throw error;
    problems.add(error.message);
  }
  return [...problems];
}

/** An order without a server in it: refused as such where the token may write, as not allowed where it may only read. */
async function checkRights(api: HetznerApi, signal: AbortSignal): Promise<void> {
  const call = {
    method: "POST",
    path: "servers",
    json: {},
    signal,
    what: "a try of the token's right to write",
  } as const;
  await api.call(z.unknown(), call).catch((error: unknown) => {
    const isRefusal = error instanceof HetznerRefusal && error.fault === "refused";
    if (!isRefusal || NOT_ALLOWED.has(error.code)) throw error;
  });
}

interface Account {
  readonly catalog: Catalog;
  readonly locations: readonly string[];
  readonly signal: AbortSignal;
}

async function* problemsOf(machine: HetznerMachine, account: Account): AsyncGenerator<string> {
  const { catalog, locations, signal } = account;
  for (const name of machine.locations)
    if (!locations.includes(name)) yield `there is no location ${name}${orRather(name, locations)}`;
  const type = await catalog.serverType(machine.server_type, signal);
  if (type === null) yield `there is no server type ${machine.server_type}`;
  else {
    for (const name of machine.locations) if (locations.includes(name)) yield* offerProblems(type, name);
    yield* imageProblems(machine, type, account);
  }
  for (const collection of ["networks", "firewalls", "ssh_keys"] as const)
    for (const thing of machine[collection])
      if ((await catalog.find(collection, thing, signal)) === null) yield missingThing(collection, thing);
}

function* offerProblems({ name, locations }: ServerType, location: string): Generator<string> {
  const offer = locations.find((one) => one.name === location);
  if (offer === undefined) yield `there are no servers of type ${name} in ${location}`;
  const end = Date.parse(offer?.deprecation?.unavailable_after ?? "");
  if (end < Date.now()) yield `servers of type ${name} are no longer sold in ${location}`;
}

async function* imageProblems(
  machine: HetznerMachine,
  type: ServerType,
  { catalog, signal }: Account,
): AsyncGenerator<string> {
  const image = await imageOf(machine, type, catalog, signal);
  if (image === null) return yield missingImage(machine, type);
  const which = image.name ?? `image ${image.id}`;
  if (image.architecture !== type.architecture)
    yield `${which} is for ${image.architecture}; servers of type ${type.name} are ${type.architecture}`;
  if (image.status !== "available") yield `${which} is not available: it is ${image.status}`;
  if (image.disk_size > type.disk)
    yield `${which} needs a disk of ${image.disk_size} GB; servers of type ${type.name} have ${type.disk} GB`;
}

function imageOf(
  { image, image_selector: selector = "" }: HetznerMachine,
  { architecture }: ServerType,
  catalog: Catalog,
  signal: AbortSignal,
): Promise<Image | null> {
  return image === undefined
    ? catalog.snapshot(selector, architecture, signal)
    : catalog.image(image, architecture, signal);
}

export function missingImage(
  { image, image_selector: selector }: HetznerMachine,
  { architecture }: ServerType,
): string {
  return image === undefined
    ? `there is no snapshot for ${architecture} with the labels ${selector}`
    : `there is no image ${image} for ${architecture}`;
}

export function missingThing(collection: Collection, thing: Reference): string {
  return `there is no ${collection.slice(0, -1).replace("_", " ")} ${thing}`;
}

function orRather(name: string, candidates: readonly string[]): string {
  const near = nearest(name, candidates);
  return near === null ? "" : `; did you mean ${near}?`;
}
