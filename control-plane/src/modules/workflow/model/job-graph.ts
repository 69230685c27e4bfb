import type { WorkflowDocument } from "../document/document.ts";
import type { DiagnosticLog } from "../diagnostics.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { Path } from "../yaml/source-map.ts";

/** The jobs that each job waits for, by job key, in file order; without repetitions and without faulty names. */
export type JobGraph = ReadonlyMap<string, readonly string[]>;

type AnyJob = WorkflowDocument["jobs"][string];

/** Reads `needs` of all jobs and refuses unknown jobs, a job's own key and cycles. */
export function readJobGraph(jobs: ReadonlyMap<string, AnyJob>, log: DiagnosticLog): JobGraph {
  const graph = new Map<string, string[]>();
  const known = [...jobs.keys()];
  for (const [key, job] of jobs) {
    const needs = new Set<string>();
    for (const { name, path } of namedNeeds(key, job)) {
      if (name === key) {
        const message = `the job "${shorten(key)}" needs itself and would never start`;
        log.add({ code: "self-job-dependency", message, path });
      } else if (jobs.has(name)) needs.add(name);
      else if (!log.isFull) log.add({ ...unknownJob(key, name, known), path });
    }
    graph.set(key, [...needs]);
  }
  for (const cycle of findCycles(graph)) {
    const [first = ""] = cycle;
    const circle = [...cycle, first].map(shorten).join(" → ");
    const message = `these jobs wait for each other and would never start: ${circle}`;
    log.add({ code: "job-dependency-cycle", message, path: ["jobs", first, "needs"] });
  }
  return graph;
}

function unknownJob(key: string, name: string, known: string[]) {
  const suggestion = suggest(name, known);
  const advice = suggestion ? `; did you mean "${suggestion}"?` : "";
  const message = `the job "${shorten(key)}" needs "${shorten(name)}", which is not a job of this workflow${advice}`;
  return { code: "unknown-job-dependency" as const, message, suggestion };
}

function namedNeeds(key: string, { needs }: AnyJob): { name: string; path: Path }[] {
  const path = ["jobs", key, "needs"];
  if (needs === undefined) return [];
  if (typeof needs === "string") return [{ name: needs, path }];
  return needs.map((name, index) => ({ name, path: [...path, index] }));
}

/**
 * Cycles that share no job, each in the order "waits for", starting with its first job in file order. Empty exactly when
 * the graph has no cycle. Linear in the size of the graph.
 */
export function findCycles(graph: JobGraph): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const order = [...graph.keys()];
  for (const start of order) {
    // Depth first without recursion: the stack is the chain of jobs that wait for each other.
    const chain: { job: string; next: number }[] = [{ job: start, next: 0 }];
    const onChain = new Set([start]);
    while (chain.length > 0 && !done.has(start)) {
      const top = chain.at(-1);
      if (!top) break;
      const need = graph.get(top.job)?.[top.next++];
      if (need === undefined) {
        done.add(top.job);
        onChain.delete(top.job);
        chain.pop();
      } else if (onChain.has(need)) {
        const cycle = chain.slice(chain.findIndex(({ job }) => job === need)).map(({ job }) => job);
        cycles.push(fromFirst(cycle, order));
        for (const { job } of chain.splice(chain.length - cycle.length)) {
          done.add(job);
          onChain.delete(job);
        }
      } else if (!done.has(need)) {
        chain.push({ job: need, next: 0 });
        onChain.add(need);
      }
    }
  }
  return cycles;
}

function fromFirst(cycle: string[], order: readonly string[]): string[] {
  const members = new Set(cycle);
  const first = cycle.indexOf(order.find((job) => members.has(job)) ?? "");
  return [...cycle.slice(first), ...cycle.slice(0, first)];
}
