import { formatDuration } from "@shipfox/shared/durations";
import { nearest } from "@shipfox/shared/nearest";
import { LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import type { Driver } from "../drivers/driver.ts";
import { isLoopback } from "../drivers/loopback.ts";
import { expandFamily, type Fail, MAX_TEMPLATES, type WrittenTemplate } from "./expand-matrix.ts";
import { fillIn } from "./expressions.ts";
import { Locator, type Path, type TemplatesFault } from "./fault.ts";
import { merge } from "./merge.ts";
import { fileSchema, KEY_PATTERN, LIFE_MARGIN_MS, MIN_BURST, type TemplateFields, templateSchema } from "./schema.ts";
import type { Template, TemplatesFile } from "./template.ts";

const MAX_FILE_CHARS = 1_000_000;
const MAX_ALIASES = 100;
const MAX_FAULTS = 50;

const LOOPBACK_FAULTS = {
  "the-machine": "is each machine itself there",
  nowhere: "is an address of this host alone",
} as const;

export type TemplatesResult =
  | { readonly ok: true; readonly file: TemplatesFile; readonly warnings: readonly TemplatesFault[] }
  | { readonly ok: false; readonly faults: readonly TemplatesFault[] };

export interface ReadOptions {
  /** By the `kind` of a provider. */
  readonly drivers: Readonly<Record<string, Driver>>;
  /** Where machines reach the control plane when the file says nothing. */
  readonly apiUrl: string;
}

/** Stops the reading of one template, or of the file; its fault is in the list already. */
class Stopped extends Error {}

/** Reads a templates file. Never throws: a refused text answers with 1 to 50 faults in the order of the file. */
export function readTemplatesFile(text: string, options: ReadOptions): TemplatesResult {
  return new Reader(text, options).read();
}

class Reader {
  readonly #text: string;
  readonly #options: ReadOptions;
  readonly #faults: TemplatesFault[] = [];
  readonly #warnings: TemplatesFault[] = [];
  readonly #lines = new LineCounter();
  readonly #document: ReturnType<typeof parseDocument>;
  readonly #locator: Locator;

  constructor(text: string, options: ReadOptions) {
    this.#text = text;
    this.#options = options;
    this.#document = parseDocument(text.slice(0, MAX_FILE_CHARS), { lineCounter: this.#lines, prettyErrors: false });
    this.#locator = new Locator(this.#document, this.#lines);
  }

  read(): TemplatesResult {
    const file = this.#attempt(() => this.#file());
    const faults = this.#faults.toSorted((left, right) => left.line - right.line || left.column - right.column);
    if (file === null || faults.length > 0) return { ok: false, faults: faults.slice(0, MAX_FAULTS) };
    return { ok: true, file, warnings: this.#warnings };
  }

  #file(): TemplatesFile {
    const file = this.#parse(fileSchema, this.#value(), [], []);
    const driver = this.#driver(file.provider.kind);
    const { kind, ...rest } = file.provider;
    const settings = this.#attempt(() => this.#parse(driver.settingsSchema, rest, ["provider"], []));
    const templates = this.#written(file).map((template) =>
      this.#attempt(() => this.#template(template, file.defaults, driver, file.runner_api_url)),
    );
    if (templates.length === 0 && this.#faults.length === 0)
      this.#fail([], "there is no template: give one under `templates` or `matrix`");
    const whole = templates.filter((template) => template !== null).toSorted(byKey);
    this.#checkFallbacks(whole);
    const { max_instances, max_creations_per_hour, max_deletions_per_minute } = file.limits;
    return {
      pool: file.pool,
      provider: { kind, settings },
      limits: {
        maxInstances: max_instances,
        maxCreationsPerHour: max_creations_per_hour,
        maxDeletionsPerMinute: max_deletions_per_minute,
      },
      templates: whole,
    };
  }

  /** The document as plain values. */
  #value(): unknown {
    if (this.#text.length > MAX_FILE_CHARS) this.#fail([], `the file has more than ${MAX_FILE_CHARS} characters`);
    for (const error of this.#document.errors) {
      const { line, col } = this.#lines.linePos(error.pos[0]);
      this.#faults.push({ path: "(root)", line, column: col, message: error.message });
    }
    if (this.#document.errors.length > 0) throw new Stopped();
    try {
      return this.#document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
    } catch (error) {
      return this.#fail([], (error as Error).message);
    }
  }

  #driver(kind: string): Driver {
    const { drivers } = this.#options;
    const driver = Object.hasOwn(drivers, kind) ? drivers[kind] : undefined;
    if (driver !== undefined) return driver;
    return this.#fail(
      ["provider", "kind"],
      `there is no provider ${kind}; there are ${Object.keys(drivers).join(", ")}`,
    );
  }

  /** All templates before their defaults. One written by hand takes the place of one of a matrix. */
  #written(file: z.output<typeof fileSchema>): WrittenTemplate[] {
    const { vars } = file;
    const byHand = Object.entries(file.templates).flatMap(([key, body]) => {
      const path: Path = ["templates", key];
      return this.#attempt(() => ({ key, path, body: fillIn(body, { vars }, path, this.#fail) })) ?? [];
    });
    const taken = new Map(byHand.map((template) => [template.key, template]));
    const made = Object.entries(file.matrix).flatMap(
      ([name, family]) => this.#attempt(() => expandFamily(name, family, vars, this.#fail)) ?? [],
    );
    const generated = new Map<string, WrittenTemplate>();
    for (const template of made) {
      const other = generated.get(template.key);
      if (taken.has(template.key)) {
        const message = `the template ${template.key} is written by hand as well; that one counts`;
        this.#warnings.push(this.#locator.fault(["templates", template.key], message));
      } else if (other !== undefined)
        this.#note(template.path.slice(0, 2), `two combinations have the key ${template.key}; give another \`key\``);
      else generated.set(template.key, template);
    }
    const all = [...byHand, ...generated.values()];
    if (all.length > MAX_TEMPLATES)
      this.#fail([], `there are ${all.length} templates; at most ${MAX_TEMPLATES} are allowed`);
    return all;
  }

  #template(
    { key, path, body }: WrittenTemplate,
    defaults: unknown,
    driver: Driver,
    fileUrl: string | undefined,
  ): Template {
    if (!KEY_PATTERN.test(key))
      this.#fail(path, `the key ${JSON.stringify(key)} has other than 1 to 255 printable characters`);
    const fields = this.#parse(templateSchema, merge(defaults, body), path, ["defaults"]);
    const at = (name: string): Path => (this.#locator.has([...path, name]) ? [...path, name] : ["defaults", name]);
    const machine = this.#parse(driver.machineSchema, fields.machine, [...path, "machine"], ["defaults", "machine"]);
    if (!driver.sandboxes.includes(fields.sandbox))
      this.#note(
        at("sandbox"),
        `the provider ${driver.kind} has no machines with a Docker Engine in them; use sandbox: host`,
      );
    if (fields.idle > fields.max_concurrency)
      this.#note(at("idle"), `idle is ${fields.idle}, and max_concurrency is only ${fields.max_concurrency}`);
    const runnerApiUrl = fields.runner_api_url ?? fileUrl ?? this.#options.apiUrl;
    const { leadsTo, hint } = driver.loopback;
    if (leadsTo !== "this-host" && isLoopback(runnerApiUrl))
      this.#note(
        at("runner_api_url"),
        `machines of ${driver.kind} cannot reach ${runnerApiUrl}, which ${LOOPBACK_FAULTS[leadsTo]}; ${hint}`,
      );
    return { ...toTemplate(key, fields, this.#lifetime(fields, at)), runnerApiUrl, machine };
  }

  #lifetime(fields: TemplateFields, at: (name: string) => Path): number {
    const least = fields.boot_timeout + fields.idle_timeout + fields.longest_job + LIFE_MARGIN_MS;
    const { max_lifetime: given = least } = fields;
    if (given < least)
      this.#note(
        at("max_lifetime"),
        `a machine must live for its boot, its idle time, its longest job and ${formatDuration(LIFE_MARGIN_MS)}: at least ${formatDuration(least)}; with a shorter longest_job it may be less`,
      );
    return given;
  }

  #checkFallbacks(templates: readonly Template[]): void {
    const byName = new Map(templates.map((template) => [template.key, template]));
    for (const { key, fallback } of templates) {
      if (fallback === null) continue;
      if (!byName.has(fallback)) {
        const near = nearest(fallback, [...byName.keys()]);
        this.#note(
          ["templates", key, "fallback"],
          `there is no template ${fallback}${near === null ? "" : `; did you mean ${near}?`}`,
        );
        continue;
      }
      const seen = new Set([key]);
      for (let next: string | null = fallback; next !== null; next = byName.get(next)?.fallback ?? null) {
        if (seen.has(next)) {
          this.#note(["templates", key, "fallback"], `the fallbacks of ${[...seen].join(", ")} lead back to ${next}`);
          break;
        }
        seen.add(next);
      }
    }
  }

  /** Faults are placed at `path`, or at `otherwise` where only that was written: the defaults of a template. */
  #parse<Schema extends z.ZodType>(schema: Schema, value: unknown, path: Path, otherwise: Path): z.output<Schema> {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      const inner = issue.path.filter((part) => typeof part !== "symbol");
      const base =
        otherwise.length > 0 && !this.#locator.has([...path, ...inner]) && this.#locator.has([...otherwise, ...inner])
          ? otherwise
          : path;
      if (issue.code !== "unrecognized_keys") this.#note([...base, ...inner], messageOf(issue));
      else
        for (const key of issue.keys) {
          const place = this.#locator.has([...path, ...inner, key]) || otherwise.length === 0 ? path : otherwise;
          this.#note([...place, ...inner, key], unknownKey(key, keysOf(schema, inner)));
        }
    }
    throw new Stopped();
  }

  #note(path: Path, message: string): void {
    this.#faults.push(this.#locator.fault(path, message));
  }

  readonly #fail: Fail = (path, message) => {
    this.#note(path, message);
    throw new Stopped();
  };

  #attempt<Result>(work: () => Result): Result | null {
    try {
      return work();
    } catch (error) {
      if (error instanceof Stopped) return null;
      throw error;
    }
  }
}

function toTemplate(
  key: string,
  fields: TemplateFields,
  maxLifetimeMs: number,
): Omit<Template, "runnerApiUrl" | "machine"> {
  return {
    key,
    labels: fields.labels,
    capabilities: fields.sandbox === "docker" ? ["image", "services", "network", "files"] : ["files"],
    sandbox: fields.sandbox,
    maxConcurrency: fields.max_concurrency,
    maxCreationsPerHour: fields.max_creations_per_hour ?? Number.POSITIVE_INFINITY,
    idle: fields.idle,
    schedules: fields.schedules.map(({ cron, timezone, duration: durationMs, idle, max_concurrency: most }) => ({
      cron,
      timezone,
      durationMs,
      idle: idle ?? null,
      maxConcurrency: most ?? null,
    })),
    burst: fields.burst ?? Math.max(MIN_BURST, fields.max_concurrency),
    bootTimeoutMs: fields.boot_timeout,
    idleTimeoutMs: fields.idle_timeout,
    maxLifetimeMs,
    costPerHour: fields.cost ?? null,
    preference: fields.preference,
    fallback: fields.fallback ?? null,
  };
}

function byKey(left: Template, right: Template): number {
  return left.key < right.key ? -1 : 1;
}

function messageOf({ message }: z.core.$ZodIssue): string {
  return message.replace(/^Invalid input: /, "").replace(/, received undefined$/, ", and it is missing");
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `there is no key \`${key}\` here${near === null ? "" : `; did you mean \`${near}\`?`}`;
}

/** What may stand at a place of a schema, as far as it is one of our objects. */
function keysOf(schema: z.ZodType, path: Path): string[] {
  let current: unknown = schema;
  for (const part of path) {
    const { shape, element, valueType } = definitionOf(current);
    current = shape?.[part] ?? element ?? valueType;
  }
  return Object.keys(definitionOf(current).shape ?? {});
}

interface SchemaParts {
  shape?: Record<string | number, unknown>;
  element?: unknown;
  valueType?: unknown;
}

/** Through defaults and optional values to what they hold. */
function definitionOf(schema: unknown): SchemaParts {
  const { def } = Object(schema) as { def?: SchemaParts & { innerType?: unknown; in?: unknown } };
  if (def === undefined) return {};
  const inner = def.innerType ?? def.in;
  return inner === undefined ? def : definitionOf(inner);
}

/** For people: one line for each fault. */
export function describeFault(file: string, { line, column, path, message }: TemplatesFault): string {
  return `${file}:${line}:${column}: ${path}: ${message}`;
}
