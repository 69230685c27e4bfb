import type { Migration } from "./migrate.ts";
import { initial } from "./migrations/0001-initial.ts";
import { subscriptions } from "./migrations/0060-subscriptions.ts";
import { approvals } from "./migrations/0061-approvals.ts";
import { repositoryHeads } from "./migrations/0062-repository-heads.ts";
import { blobs } from "./migrations/0065-blobs.ts";
import { references } from "./migrations/0075-references.ts";
import { concurrency } from "./migrations/0076-concurrency.ts";
import { calls } from "./migrations/0077-calls.ts";
import { checkedOutCommit } from "./migrations/0078-checked-out-commit.ts";
import { listeners } from "./migrations/0079-listeners.ts";
import { runEndings } from "./migrations/0080-run-endings.ts";
import { runnerInstances } from "./migrations/0081-runner-instances.ts";
import { untrustedSecrets } from "./migrations/0084-untrusted-secrets.ts";
import { removedRuns } from "./migrations/0090-removed-runs.ts";
import { oldMachines } from "./migrations/0091-old-machines.ts";

/** Every migration, oldest first. The last version is the one this binary knows. */
export const migrations: readonly Migration[] = [
  initial,
  subscriptions,
  approvals,
  repositoryHeads,
  blobs,
  references,
  concurrency,
  calls,
  checkedOutCommit,
  listeners,
  runEndings,
  runnerInstances,
  untrustedSecrets,
  removedRuns,
  oldMachines,
];
