/**
 * The faults that the suite brings about, each with what must hold then. Printed with its result at the end of a run, and part
 * of docs/reliability.md. A number is a name: it never gets another meaning.
 */
export interface Scenario {
  readonly number: number;
  readonly fault: string;
  readonly promise: string;
}

export const SCENARIOS: readonly Scenario[] = [
  row(
    1,
    "control plane killed while 50 jobs run",
    "the same executions go on and end; logs are whole; nothing runs twice",
  ),
  row(2, "control plane away for longer than a lease", "jobs go on; every lease gets a full term at the restart"),
  row(
    3,
    "runner killed in the middle of a step",
    "queued again once, `runner_lost`; the log keeps its first part and a mark",
  ),
  row(
    4,
    "runner process started again while its container lived",
    "what was left is dead before the next claim; never two",
  ),
  row(5, "power loss of the runner's machine", "as 3; leftovers are removed before the first claim"),
  row(6, "the answer to a claim is lost", "the repeated claim gets the same job; none is burned"),
  row(7, "a claim sent twice at once", "one job is given, once"),
  row(8, "answers to heartbeats lost, requests arrive", "the lease lives; nothing is killed"),
  row(
    9,
    "runner cut off, control plane fine",
    "the runner pauses the job before the lease ends; then it is queued again",
  ),
  row(10, "the cut heals late", "the old execution's reports are refused; its log stays with it"),
  row(11, "the job eats all processor time", "renewals go on"),
  row(12, "renewal fails after a first success", "tried again with backoff until the bound; then given up"),
  row(13, "clocks jump by an hour, forwards and back", "nothing expires early or late"),
  row(14, "the answer to a log append is lost", "sent again, stored once"),
  row(15, "log appends out of order or with a gap", "409 with the held offset; the runner rewinds; the log is whole"),
  row(
    16,
    "control plane away during a chatty job",
    "output waits on disk up to its cap, the rest is counted; the job is not held up",
  ),
  row(17, "the runner's disk is full", "no claims; a running job ends as `disk_full`, infrastructure; clean-up frees"),
  row(18, "the control plane's disk is full", "507, nothing acknowledged, reads work; goes on without a restart"),
  row(19, "200 starts and 100 runners at once", "each answered after its commit, or refused and repeated; none lost"),
  row(20, "control plane killed while it commits", "the database is sound, the last acknowledged write is there"),
  row(
    21,
    "a backup that was taken under load is restored",
    "all that was acknowledged before it is there; runners of later jobs are told that their lease is gone; jobs of the backup are run or queued again",
  ),
  row(22, "a migration is interrupted", "the next start finishes it"),
  row(23, "SIGTERM to the runner", "claims stop, jobs end or are handed back by the deadline; not one more is taken"),
  row(24, "SIGTERM to the control plane", "long polls end with a hint, requests finish, jobs do not notice"),
  row(25, "cancel while queued, claimed, running, finishing", "one terminal state; tree dead within the grace"),
  row(26, "cancel when the runner is gone", "terminal at once, before the lease ends; the job is given to nobody"),
  row(
    27,
    "a child that forks twice and ignores SIGTERM",
    "dead with the end or cancel of its job and with the timeout of its step; nothing is left",
  ),
  row(
    28,
    "the Docker daemon is restarted",
    "the job is queued again as infrastructure; no dead container counts as alive",
  ),
  row(29, "the Docker socket hangs", "every call is bounded; the runner says that it is unhealthy"),
  row(30, "the image registry answers 429 and 5xx", "tried again with backoff, then infrastructure with the reason"),
  row(
    31,
    "the provider does not answer when it is asked for a machine, and makes it",
    "the machine is found in the next whole list and adopted; never two for one job",
  ),
  row(
    32,
    "a machine boots and its runner never registers",
    "removed at the boot deadline with its console kept; the job gets another one",
  ),
  row(
    33,
    "the provider is down, throttles, or answers with an empty list",
    "nothing is deleted for such a list; busy machines go on",
  ),
  row(
    34,
    "the provisioner is killed between the order for a machine and its record",
    "the intent was recorded before; the next process adopts the machine",
  ),
  row(35, "two provisioners with one token", "one works, the other watches, says so, and takes over"),
  row(
    36,
    "the provisioner is dead for long",
    "machines that nobody needs end themselves; jobs wait with the reason until it is back",
  ),
  row(
    37,
    "the notice of a spot instance's end in the middle of a job",
    "handed back and queued again while the machine still lives; it runs elsewhere and costs no retry",
  ),
  row(
    38,
    "a machine is drained while a job is given out",
    "it gets the job or is removed, never both; no busy one is deleted",
  ),
  row(
    39,
    "every machine of a template fails to boot",
    "it is paused after a few and comes back by a probe; other templates do its jobs meanwhile",
  ),
  row(
    40,
    "a token is rotated or revoked in the middle of a job",
    "rotated: the job goes on; revoked: it is stopped and fenced",
  ),
  row(
    41,
    "a delivery of a webhook comes twice, or many times at once",
    "it is one event and one run, whatever the repeats say; an older state takes no newer one's place",
  ),
  row(
    42,
    "deliveries of webhooks come while the control plane is killed and started again",
    "what was acknowledged is stored and routed; senders repeat what got no answer; each is one event and one run",
  ),
  row(
    43,
    "the server is down at the times of a schedule, or a clock changes to daylight saving and back",
    "one run makes up for the times that passed; a fixed time comes once a day; none comes twice",
  ),
  row(
    44,
    "an upload of an artifact is cut when it is nearly done",
    "it goes on from the last part that the server acknowledged, or nobody ever sees it; size and digest are checked",
  ),
  row(45, "a reader of a log connects late and again", "every byte from the start, none twice"),
  row(
    46,
    "10,000 queued jobs and 500 runners that come back at once",
    "each gets one job, none is given twice or lost; projects take turns",
  ),
  row(
    47,
    "old runner with new control plane, and the reverse",
    "works with a warning inside the window, else refused with words before anything is used up",
  ),
  row(
    48,
    "a runner is cloned with its credential",
    "a copy older than its last start is refused and the live runner is not touched; one of now takes over and the former is fenced",
  ),
];

function row(number: number, fault: string, promise: string): Scenario {
  return { number, fault, promise };
}
