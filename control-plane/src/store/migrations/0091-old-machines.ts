/** What finds machines, sessions and runners that are old enough to be deleted, and the jobs that still name a runner. */
export const oldMachines = {
  version: 91,
  name: "old machines",
  oldestBinary: 1,
  up: (): string[] => [
    "create index runner_instances_ended on runner_instances(ended_at) where ended_at is not null",
    "create index runner_sessions_created on runner_sessions(created_at)",
    "create index runners_passing on runners(created_at) where persistent = 0",
    "create index job_executions_runner on job_executions(runner_id) where runner_id is not null",
  ],
};
