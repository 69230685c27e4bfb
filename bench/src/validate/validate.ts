import { parseWorkflow } from "@shipfox/control-plane/workflow";
import { parse } from "yaml";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { startControlPlane } from "../control-plane.ts";
import { newWay, runInterleaved, type Way } from "../interleaved-rounds.ts";
import { JsonClient } from "../json-client.ts";
import { openFolder } from "../stage.ts";
import { median, quantile, ratios } from "../statistics.ts";
import { type Graph, writeGraph } from "./graph.ts";

const JOBS = 1_000;
const NEEDS = 5_000;
const FULL = { rounds: 20, warmUpRounds: 6, calls: 5 };
const QUICK = { rounds: 2, warmUpRounds: 1, calls: 2 };
const AIM_MS = 100;

export const validate: Bench = {
  name: "validate",
  title: "Validate a large graph",
  about: `One workflow of ${JOBS} jobs with ${NEEDS} needs between them is validated, to its document, its model and the place of each
step: by a call of the language, and by POST /definitions/validate, which reads it in a thread of the control plane and
sends it all back. Once with jobs of one command; once with jobs that also publish an output and read one of a need, so that types are checked. The yardstick is
\`parse\` of the YAML library, which makes plain values and knows no places. One call after another, rounds interleaved in rotating order.`,
  needsDocker: false,
  run,
};

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const plane = await startControlPlane(await openFolder(resources), resources);
  const client = new JsonClient(plane.url, 1);
  resources.defer(() => client.close());
  const measure = async (graph: Graph) => {
    const yaml = writeGraph(graph);
    const validateOverHttp = async () => {
      const call = { token: plane.token, body: { yaml } };
      const reply = await client.call<{ valid: boolean }>("POST", "/definitions/validate", call);
      if (!reply.valid) throw new Error("the graph was refused over HTTP");
    };
    const validateInProcess = () => {
      if (!parseWorkflow(yaml).ok) throw new Error("the graph was refused");
    };
    const ways = [
      newWay("in process", () => timesOf(plan.calls, validateInProcess)),
      newWay("over HTTP", () => timesOf(plan.calls, validateOverHttp)),
      newWay("yaml parse", () => timesOf(plan.calls, () => parse(yaml))),
    ] as const;
    await runInterleaved(ways, plan, { stop, say });
    return { ways, size: yaml.length };
  };
  const plain = await measure({ jobs: JOBS, needs: NEEDS, outputs: false });
  const typed = await measure({ jobs: JOBS, needs: NEEDS, outputs: true });
  return {
    tables: [
      {
        header: ["ms", "n", "min", "p50", "p90", "p99", "÷ yaml parse, median of the rounds"],
        rows: [...rowsOf("commands", plain.ways), ...rowsOf("outputs and types", typed.ways)],
      },
    ],
    aims: [plain, typed].flatMap(({ ways: [inProcess, overHttp] }, index) =>
      [inProcess, overHttp].map(({ name, samples }) => ({
        what: `${index === 0 ? "commands" : "outputs and types"}, ${name}, p50, ms`,
        measured: median(samples),
        bound: { atMost: AIM_MS },
      })),
    ),
    notes: [`The files have ${plain.size} and ${typed.size} characters.`],
  };
}

async function timesOf(calls: number, call: () => unknown): Promise<number[]> {
  const times: number[] = [];
  for (let done = 0; done < calls; done += 1) {
    const startedAt = performance.now();
    await call();
    times.push(performance.now() - startedAt);
  }
  return times;
}

function rowsOf(graph: string, ways: readonly [Way, Way, Way]): string[][] {
  const yardstick = ways[2];
  return ways.map(({ name, samples, medians }) => [
    `${graph}, ${name}`,
    String(samples.length),
    ...[0, 0.5, 0.9, 0.99].map((share) => quantile(samples, share).toFixed(1)),
    median(ratios(medians, yardstick.medians)).toFixed(2),
  ]);
}
