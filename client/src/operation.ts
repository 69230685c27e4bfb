import type { z } from "zod";

/**
 * One thing that a user can ask the control plane, as data. The calls, their types and the test that compares the table
 * with `/openapi.json` all come from it.
 */
export interface Operation {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/projects/{projectId}`: names in braces are path parameters. */
  readonly path: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** A call that gives nothing for the body sends none. */
  readonly optionalBody?: true;
  /** A schema of JSON; null without a body; `text`; `file` is bytes; `run-events` and `log` are server-sent events. */
  readonly reply: z.ZodType | null | "text" | "file" | "run-events" | "log";
  /** The array of a reply that is a page, beside `next_cursor`. */
  readonly items?: string;
  /** The server takes `Idempotency-Key`, so that the call counts once however often it is sent. */
  readonly keyed?: true;
  /** Where the usual limit is too short. */
  readonly timeoutMs?: number;
}

type Simplify<T> = { [Key in keyof T]: T[Key] } & {};

type PathParams<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? { [Key in Name]: Name extends "attempt" ? number : string } & PathParams<Rest>
  : unknown;

/** What a query takes: numbers where the server reads numbers out of text, booleans for `true` and `false`. */
type QueryValue<In, Out> = unknown extends In
  ? Out
  : [Extract<In, "true" | "false">] extends [never]
    ? In
    : In | boolean;
type QueryParams<Query> = Query extends z.ZodObject
  ? { [Key in keyof z.input<Query>]: QueryValue<z.input<Query>[Key], z.output<Query>[Key & keyof z.output<Query>]> }
  : unknown;

type BodyFields<Op> = Op extends { body: infer Body extends z.ZodType }
  ? Op extends { optionalBody: true }
    ? Partial<z.input<Body>>
    : z.input<Body>
  : unknown;

type Distribute<T> = T extends unknown ? Simplify<T> : never;

/** Path parameters, query and fields of the body, side by side in one object. */
export type Input<Op extends Operation> = Distribute<
  PathParams<Op["path"]> & (Op extends { query: infer Query } ? QueryParams<Query> : unknown) & BodyFields<Op>
>;

export type Output<Op extends Operation> = Op["reply"] extends z.ZodType
  ? z.output<Op["reply"]>
  : Op["reply"] extends "text"
    ? string
    : undefined;

/** What goes out of the fields of an input. */
export interface Parts {
  readonly path: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

type Scalar = string | number | boolean;

/** Sorts the fields of an input into path, query and body. Throws TypeError when a path parameter is missing. */
export function partsOf(operation: Operation, input: Readonly<Record<string, unknown>>): Parts {
  const rest = new Map(Object.entries(input));
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest.get(name) as Scalar | null | undefined;
    rest.delete(name);
    if (value === undefined || value === null || value === "")
      throw new TypeError(`${operation.method} ${operation.path} needs ${name}`);
    return encodeURIComponent(String(value));
  });
  const query: [string, string][] = [];
  for (const name of Object.keys(operation.query?.shape ?? {})) {
    const value = rest.get(name) as Scalar | Scalar[] | null | undefined;
    rest.delete(name);
    for (const each of [value].flat()) if (each !== undefined && each !== null) query.push([name, String(each)]);
  }
  const isLeftOut = operation.body === undefined || (operation.optionalBody && rest.size === 0);
  return { path, query, body: isLeftOut ? undefined : Object.fromEntries(rest) };
}

/** The operations of one group by the names of their methods. */
export type Operations = Readonly<Record<string, Operation>>;
