import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { scratch } from "@shipfox/shared/scratch.fixture";
import pg from "pg";
import { pino } from "pino";
import { afterEach, describe, inject } from "vitest";
import { postgresSql } from "./dialect.ts";
import type { Migration } from "./migrate.ts";
import { migrations as productMigrations } from "./migrations.ts";
import { openStore, type StoreOptions } from "./open.ts";
import type { Store } from "./store.ts";

/** Where a test's data is: open it again to see what a restart would see. */
export type StorePlace = Pick<StoreOptions, "dataDir" | "databaseUrl">;

export interface TestStoreOptions extends Partial<Omit<StoreOptions, "dataDir" | "databaseUrl">> {
  /** An empty one with the schema, when left out. */
  place?: StorePlace;
}

export interface StoreHarness {
  dialect: Store["dialect"];
  /** A new place without data; on PostgreSQL with the schema already in it. */
  newPlace: () => Promise<StorePlace>;
  open: (options?: TestStoreOptions) => Promise<Store>;
}

/**
 * Runs the same tests on SQLite and on PostgreSQL, which `[postgres]` in their names tells. Every `open()` is a database
 * of its own; stores, folders and databases are gone after each test.
 */
export function describeStores(
  name: string,
  define: (open: StoreHarness["open"], harness: StoreHarness) => void,
  migrations: readonly Migration[] = productMigrations,
): void {
  describeStore("sqlite", name, define, migrations);
  describeStore("postgres", name, define, migrations);
}

/** As `describeStores`, for what only one of the databases does. */
export function describeStore(
  dialect: Store["dialect"],
  name: string,
  define: (open: StoreHarness["open"], harness: StoreHarness) => void,
  migrations: readonly Migration[] = productMigrations,
): void {
  describe(`${name} [${dialect}]`, () => {
    const harness = createHarness(dialect, migrations);
    define(harness.open, harness);
  });
}

function createHarness(dialect: Store["dialect"], migrations: readonly Migration[]): StoreHarness {
  const stores: Store[] = [];
  const places: StorePlace[] = [];

  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await Promise.all(places.splice(0).map(removePlace));
  });

  async function newPlace(): Promise<StorePlace> {
    const dataDir = await mkdtemp(join(scratch(), "shipfox-store-"));
    const place: StorePlace = { dataDir };
    places.push(place);
    if (dialect === "postgres") place.databaseUrl = await newDatabase(migrations);
    return place;
  }

  async function open({ place, ...options }: TestStoreOptions = {}): Promise<Store> {
    const store = await openStore({ ...silent(migrations), ...options, ...(place ?? (await newPlace())) });
    stores.push(store);
    return store;
  }

  return { dialect, newPlace, open };
}

function silent(migrations: readonly Migration[]): Omit<StoreOptions, "dataDir"> {
  return { onRunEvents: () => {}, onLost: () => {}, log: pino({ level: "silent" }), migrations };
}

async function removePlace({ dataDir, databaseUrl }: StorePlace): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
  if (databaseUrl === undefined) return;
  const name = new URL(databaseUrl).pathname.slice(1);
  await asAdmin((admin) => admin.query(`drop database ${name} with (force)`));
}

/** A copy of a database that already has the schema: quicker than running the migrations for each test. */
async function newDatabase(migrations: readonly Migration[]): Promise<string> {
  const template = await schemaTemplate(migrations);
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await asAdmin((admin) => admin.query(`create database ${name} template ${template} strategy file_copy`));
  return urlOf(name);
}

const templates = new Map<readonly Migration[], Promise<string>>();

function schemaTemplate(migrations: readonly Migration[]): Promise<string> {
  let template = templates.get(migrations);
  if (!template) {
    template = makeTemplate(migrations);
    templates.set(migrations, template);
  }
  return template;
}

/** Made by the first test file that needs it; the others, in processes of their own, wait and share it. */
async function makeTemplate(migrations: readonly Migration[]): Promise<string> {
  const statements = migrations.map((migration) => [
    migration.version,
    migration.oldestBinary,
    migration.up(postgresSql),
  ]);
  const name = `template_${createHash("sha256").update(JSON.stringify(statements)).digest("hex").slice(0, 16)}`;
  await asAdmin(async (admin) => {
    await admin.query("select pg_advisory_lock(hashtext($1))", [name]);
    const { rowCount } = await admin.query("select 1 from pg_database where datname = $1", [name]);
    if (rowCount) return;
    const draft = `${name}_draft`;
    await admin.query(`drop database if exists ${draft} with (force)`);
    await admin.query(`create database ${draft}`);
    const store = await openStore({ ...silent(migrations), dataDir: scratch(), databaseUrl: await urlOf(draft) });
    await store.close();
    await admin.query(`alter database ${draft} rename to ${name}`);
  });
  return name;
}

async function asAdmin<T>(work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: await serverUrl() });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

async function urlOf(database: string): Promise<string> {
  const url = new URL(await serverUrl());
  url.pathname = `/${database}`;
  return url.href;
}

let server: Promise<string> | undefined;

/** The one server of this vitest run, which `postgres-global-setup.ts` starts for whoever asks first. */
function serverUrl(): Promise<string> {
  server ??= askForServer();
  return server;
}

async function askForServer(): Promise<string> {
  const answer = await fetch(inject("postgresStarter"));
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}
