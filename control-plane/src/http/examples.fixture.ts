import { writeFile } from "node:fs/promises";
import { type Example, EXAMPLES_FILE } from "./examples.ts";

const EXAMPLE_TIME = "2026-01-05T09:30:00.000Z";
const LONGEST_LIST = 2;
const DIGITS_OF_ID = 12;

/** Keeps the calls for /openapi.json, without anything of the machine and the moment in which they were made. */
export async function writeExamples(examples: ReadonlyMap<string, Example>): Promise<void> {
  const ids = new Map<string, string>();
  const routes = [...examples].filter(([route]) => !route.endsWith("/openapi.json")).toSorted(byRoute);
  const kept = routes.map(([route, { request, status, reply }]) => [
    route,
    { request: anonymous(request, ids), status, reply: anonymous(reply, ids) },
  ]);
  await writeFile(EXAMPLES_FILE, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
}

function byRoute([left]: [string, Example], [right]: [string, Example]): number {
  return left < right ? -1 : 1;
}

function anonymous(value: unknown, ids: Map<string, string>): unknown {
  if (typeof value === "string") return anonymousText(value, ids);
  if (Array.isArray(value)) return value.slice(0, LONGEST_LIST).map((item) => anonymous(item, ids));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, anonymous(inner, ids)]));
}

function anonymousText(text: string, ids: Map<string, string>): string {
  return text
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, (id) => {
      const known = ids.get(id) ?? `01981f0e-6a5e-7c3b-9c0a-${String(ids.size + 1).padStart(DIGITS_OF_ID, "0")}`;
      ids.set(id, known);
      return known;
    })
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, EXAMPLE_TIME)
    .replaceAll(/\b(sf_[a-z]+_|whsec_|eyJ)[\w.+/=-]+/g, "$1…")
    .replaceAll(/file:\/\/[^\s"]+/g, "https://git.example.com/team/app.git")
    .replaceAll(/http:\/\/(localhost|127\.0\.0\.1):\d+/g, "https://service.example.com")
    .replaceAll("http://localhost", "https://shipfox.example.com");
}
