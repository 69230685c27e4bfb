import type { BenchContext } from "./bench.ts";
import { median, rotated } from "./statistics.ts";

/** One side of a comparison, with what it has shown so far. */
export interface Way {
  readonly name: string;
  /** Runs it once; some samples, in milliseconds. */
  readonly round: () => Promise<number[]>;
  readonly samples: number[];
  /** Of each round. */
  readonly medians: number[];
}

export function newWay(name: string, round: Way["round"]): Way {
  return { name, round, samples: [], medians: [] };
}

/** Runs all ways in every round, in rotating order. What rounds that warm up show is not kept. */
export async function runInterleaved(
  ways: readonly Way[],
  plan: { readonly rounds: number; readonly warmUpRounds: number },
  { stop, say }: Pick<BenchContext, "stop" | "say">,
): Promise<void> {
  for (let round = -plan.warmUpRounds; round < plan.rounds; round += 1) {
    for (const way of rotated(ways, round + plan.warmUpRounds)) {
      stop.throwIfAborted();
      const samples = await way.round();
      if (round < 0) continue;
      way.samples.push(...samples);
      way.medians.push(median(samples));
    }
    const latest = ways.map(({ name, medians }) => `${name} ${medians.at(-1)?.toFixed(2) ?? "warming up"}`);
    say(`round ${round + 1} of ${plan.rounds}, median ms: ${latest.join(", ")}`);
  }
}
