/**
 * The attacks that the suite carries out against the real product, each with what defeats it. Part of docs/security.md. A
 * number is a name: it never gets another meaning.
 */
export interface Attack {
  readonly number: number;
  readonly attack: string;
  readonly defence: string;
}

export const ATTACKS: readonly Attack[] = [
  row(
    1,
    "a step hunts for credentials in processes, memory, files, sockets and git",
    "none is where a step can look: tokens stay in 0600 files and in the runner's memory, git's credential with the runner's git",
  ),
  row(
    2,
    "somebody uses a token in another workspace, after its end, for another purpose, or makes it stronger than its owner",
    "a token is looked up at every call, counts in one workspace, is never stronger than its owner is then, and makes no others",
  ),
  row(
    3,
    "a runner calls the endpoints of another runner's job",
    "the lease in the token decides, not the ids in the path; nothing changes",
  ),
  row(
    4,
    "a step calls every endpoint of runners with all that it finds",
    "nothing in a step's environment or files opens one",
  ),
  row(
    5,
    "a job reaches for the engine's socket, or its workflow asks for it",
    "no container has it, and the language has no key for a mount",
  ),
  row(
    6,
    "a workflow gives names and keys that would become options of the engine",
    "options are a closed list, sent as JSON; names and images are checked by the parser",
  ),
  row(
    7,
    "a variable holds quotes, newlines, `$()` or a leading dash",
    "values are data on every way, and arrive byte for byte",
  ),
  row(
    8,
    "a job swaps folders for links while its workspace is removed",
    "nothing of the job runs any more, no link is followed; the file outside stays",
  ),
  row(
    9,
    "a step hands links, pipes, devices and huge files to the runner",
    "only regular files within their limits are read, never through a link",
  ),
  row(
    10,
    "a run of a fork fills caches that trusted runs will use, or something stored is replaced under its name",
    "caches are found by project and ref, untrusted runs save none, nothing stored changes, artifacts are for their own run",
  ),
  row(
    11,
    "a stranger sends code or words from a fork, and claims to be somebody who is trusted",
    "it starts nothing until somebody approves this commit and these workflows; who is trusted is told by the signed delivery; a push resets it; what starts when such a run ends waits for an approval of its own; approved runs get no secrets unless their project says so",
  ),
  row(
    12,
    "a job leaves files, processes and shared memory for the next one",
    "each job has a container, a folder and a network of its own; nothing is used again",
  ),
  row(
    13,
    "a project names the private image that another one pulled",
    "the registry is asked with the project's own credential before a copy is used",
  ),
  row(
    14,
    "a step prints a secret in pieces and encodings",
    "every form is masked before it leaves the runner, wherever the output was cut",
  ),
  row(
    15,
    "a log holds terminal sequences, bidi marks, HTML and forged records",
    "output is text in a record of its own; the CLI shows no sequence, no browser is told to run it",
  ),
  row(
    16,
    "a workflow or a step sets variables that change what the runner's own programs do",
    "the runner's programs have an environment of their own; what changes how programs start cannot be handed to later steps",
  ),
  row(
    17,
    "the title of a pull request, a payload or an input holds shell code",
    "a value goes into a variable, the command gets a quoted reference; where that cannot help no run is created",
  ),
  row(
    18,
    "a webhook is pointed at loopback, private networks, cloud metadata, in every spelling, or leads there by a redirect",
    "a name is resolved once, all of its addresses must be public, redirects are not followed; nobody inside is called",
  ),
  row(
    19,
    "somebody forges, changes, replays or floods what a provider's webhook tells",
    "the bytes as they came are verified in constant time before they are read; each delivery counts once; errors tell nothing",
  ),
  row(
    20,
    "a token is made without a signature, with another key or algorithm, for another purpose, or is a piece of a good one",
    "one algorithm, one key for each purpose, exact match; 401",
  ),
  row(
    21,
    "the installer is led to a server with a certificate of its own, or over plain http",
    "certificates are always verified; a private authority is named with --ca; http to another machine needs --insecure, which says what it means",
  ),
  row(
    22,
    "a thief reads logs, database, metrics, status and errors after a tour with secrets",
    "secrets are sealed, tokens are stored as hashes, and nothing prints them",
  ),
  row(
    23,
    "what the installer gets is damaged, exchanged or leads out of its folder, or its arguments carry commands",
    "nothing is evaluated, every value has a form, every file its checksum; a fault ends the installation before anything is changed",
  ),
  row(
    24,
    "output floods, endless lines, thousands of registrations, huge and slow bodies",
    "everything has a bound; the service goes on for others",
  ),
  row(
    25,
    "a job asks cloud metadata, link-local addresses, its host and other jobs",
    "routes in its network refuse them, and the firewall of a runner that is root; with the host sandbox that firewall bars the steps' user from metadata",
  ),
  row(
    26,
    "machines of others lie beside ours in one account: of another provisioner, without tags, with copied or invented ones",
    "deleted is only what carries exactly our three tags and is the machine that its record names; all others are counted and left alone",
  ),
  row(
    27,
    "a refresh token, a reset link or a stream ticket that was used is used again, or on another path",
    "each works once; a replaced refresh token ends all sessions of its user",
  ),
  row(
    28,
    "a stranger finds out who has an account, by answers or by time, or guesses passwords over many connections",
    "the same answer after the same work; tries are counted by account and address before anything is looked up",
  ),
  row(
    29,
    "an address or a name holds line ends, further addresses or markup that a mail would carry out",
    "one valid address per mail, line ends are no part of any header, markup is escaped",
  ),
  row(
    30,
    "somebody goes on with a token whose time is over",
    "the time is looked at with each call; 401, also for a stream",
  ),
  row(
    31,
    "an owner who got a lesser role goes on with the tokens that he had",
    "tokens hold no role: it is looked up at every call, and a personal token is never stronger than its owner",
  ),
  row(
    32,
    "somebody goes on reading a stream that is open when his right to it ends",
    "whoever takes a right away tells the open streams, which end at once, on both protocols",
  ),
  row(
    33,
    "a job puts links, hooks and git settings where a later checkout goes, and swaps folders for links while it is made",
    "git works where no step can; what is finished is moved in by one renaming, through no link; nothing outside is written or run",
  ),
  row(
    34,
    "somebody who has seen the token of a machine brings it again, with other labels, for another machine or too late",
    "it is good once, until the machine's boot deadline, for the labels of its template; 401 or 403, a second use is an audit entry, and the runner that was first is not touched",
  ),
];

function row(number: number, attack: string, defence: string): Attack {
  return { number, attack, defence };
}
