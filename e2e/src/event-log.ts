import type { ShownRunEvent } from "@shipfox/shared/api/events";

type EventOf<Type extends ShownRunEvent["type"]> = Extract<ShownRunEvent, { type: Type }>;

function isA<Type extends ShownRunEvent["type"]>(type: Type) {
  return (event: ShownRunEvent): event is EventOf<Type> => event.type === type;
}

/**
 * What is wrong with the whole event log of a workspace in which every run has ended; empty when it is sound:
 * numbers without gaps, runs and jobs that begin and end once and in order, and runners that do one job at a time.
 */
export function faultsOfEventLog(events: readonly ShownRunEvent[]): string[] {
  const faults: string[] = [];
  for (const [index, event] of events.entries()) {
    if (event.id !== index + 1) faults.push(`event ${event.id} stands at place ${index + 1}`);
  }
  const runs = Map.groupBy(
    events.filter((event) => event.run_id !== null),
    (event) => event.run_id,
  );
  for (const [runId, own] of runs) for (const fault of faultsOfRun(own)) faults.push(`run ${runId}: ${fault}`);
  const numbers = events.filter(isA("run.created")).map((event) => event.payload.number);
  if (numbers.toSorted((a, b) => a - b).some((number, index) => number !== index + 1)) {
    faults.push("the runs are not numbered from 1 without gaps");
  }
  return [...faults, ...faultsOfRunners(events)];
}

function faultsOfRun(events: readonly ShownRunEvent[]): string[] {
  const faults: string[] = [];
  const count = (type: ShownRunEvent["type"]) => events.filter((event) => event.type === type).length;
  if (events[0]?.type !== "run.created" || count("run.created") !== 1) faults.push("it is not created once and first");
  if (count("run.started") > 1) faults.push("it started more than once");
  if (count("run.finished") !== 1) faults.push(`it finished ${count("run.finished")} times`);
  const order = events.map((event) => event.type);
  if (order.indexOf("run.started") > order.indexOf("run.finished")) faults.push("it finished before it started");
  const finishedAt = order.indexOf("run.finished");
  if (
    order.slice(finishedAt).some((type) => type === "job.queued" || type === "job.started" || type === "step.started")
  )
    faults.push("something began after its end");
  for (const [jobId, own] of Map.groupBy(
    events.filter((event) => event.payload.job_id !== null),
    (event) => event.payload.job_id,
  )) {
    const types = own.map((event) => event.type);
    const times = (type: string) => types.filter((each) => each === type).length;
    if (times("job.queued") > 1 || times("job.started") > 1) faults.push(`job ${jobId} was given out twice`);
    if (times("job.finished") !== 1) faults.push(`job ${jobId} finished ${times("job.finished")} times`);
    if (times("job.started") > 0 && types.indexOf("job.started") < types.indexOf("job.queued"))
      faults.push(`job ${jobId} started before it was queued`);
    if (types.indexOf("job.started") > types.indexOf("job.finished")) faults.push(`job ${jobId} started after its end`);
  }
  const status = events.find(isA("run.finished"))?.payload.status;
  const jobs = events.filter(isA("job.finished")).map((event) => event.payload.status);
  if (status === "succeeded" && jobs.some((job) => job !== "succeeded"))
    faults.push(`it succeeded with ${jobs.join()}`);
  if (status === "cancelled" && !jobs.includes("cancelled")) faults.push("it was cancelled and none of its jobs");
  return faults;
}

/** A runner of one place works on one job at a time. */
function faultsOfRunners(events: readonly ShownRunEvent[]): string[] {
  const faults: string[] = [];
  const busy = new Map<string, string>();
  const runnerOf = new Map<string, string>();
  for (const event of events) {
    const execution = event.payload.job_execution_id;
    if (execution === null) continue;
    if (event.type === "job.started") {
      const other = busy.get(event.payload.runner_id);
      if (other !== undefined) faults.push(`runner ${event.payload.runner_id} got ${execution} beside ${other}`);
      busy.set(event.payload.runner_id, execution);
      runnerOf.set(execution, event.payload.runner_id);
    } else if (event.type === "job.finished" || event.type === "job.execution_finished") {
      const runner = runnerOf.get(execution);
      if (runner !== undefined && busy.get(runner) === execution) busy.delete(runner);
    }
  }
  return faults;
}
