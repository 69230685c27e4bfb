export interface Graph {
  readonly jobs: number;
  /** Of all jobs together. */
  readonly needs: number;
  /** Whether each job publishes an output and reads one of its first need. */
  readonly outputs: boolean;
}

/** A workflow in which each job needs some of those before it, spread evenly and chosen without chance. */
export function writeGraph({ jobs, needs, outputs }: Graph): string {
  const needsOf = chooseNeeds(jobs, needs);
  const lines = needsOf.flatMap((needed, job) => {
    const [first] = needed;
    const read = outputs && first !== undefined ? ` \${{ jobs.job_${first}.outputs.v }}` : "";
    return [
      `  job_${job}:`,
      ...(needed.length > 0 ? [`    needs: [${needed.map((need) => `job_${need}`).join(", ")}]`] : []),
      "    steps:",
      `      - run: echo ${job}${read}`,
      ...(outputs ? ["    outputs:", "      v: ${{ run.number }}"] : []),
    ];
  });
  return ["name: Large graph", "runner: linux", "jobs:", ...lines, ""].join("\n");
}

/** Throws RangeError when the graph has no room for so many. */
function chooseNeeds(jobs: number, needs: number): number[][] {
  let left = needs;
  const chosen = Array.from({ length: jobs }, (_, job) => {
    const count = Math.min(job, Math.ceil(left / (jobs - job)));
    left -= count;
    return Array.from({ length: count }, (_, index) => Math.floor((job * (index + 0.5)) / count));
  });
  if (left > 0) throw new RangeError(`${jobs} jobs cannot have ${needs} needs`);
  return chosen;
}
