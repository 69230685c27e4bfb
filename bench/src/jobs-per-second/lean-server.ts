// The ceiling: what one Node process can do with a durable queue over HTTP. One request per transition, no framework, no
// schemas; all that came in during one turn of the event loop shares one transaction, and with it one fsync.
//
//   node lean-server.ts PORT DATABASE_FILE
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import Database from "better-sqlite3";
import { CREATE_JOBS, JOB_STATE, PEER_AUTHORIZATION } from "./peer-protocol.ts";

interface Job {
  readonly id: number;
  readonly payload: string;
}

interface Unit {
  readonly run: () => void;
}

interface Work {
  readonly runner: string;
  readonly round: string;
  readonly response: ServerResponse;
}

const [port, file] = process.argv.slice(2);
const database = new Database(file);
database.pragma("journal_mode = wal");
database.pragma("synchronous = full");
database.exec(CREATE_JOBS);
const insert = database.prepare("insert into jobs (state, payload, created_at) values (?, ?, ?)");
const claim = database.prepare<unknown[], Job>(
  `update jobs set state = ${JOB_STATE.claimed}, runner = ?, claimed_at = ?
   where id = (select id from jobs where state = ${JOB_STATE.queued} order by id limit 1) returning id, payload`,
);
const finish = database.prepare(`update jobs set state = ${JOB_STATE.finished}, finished_at = ? where id = ?`);

let units: Unit[] = [];
const answers: (() => void)[] = [];
/** Runners without a job, the one that waits longest first. */
const parked = new Set<Work>();
/** The round that has no more jobs: its runners are not parked. */
let releasedRound: string | null = null;

const commit = database.transaction((batch: readonly Unit[]) => {
  for (const unit of batch) unit.run();
  const now = Date.now();
  let hasJobs = true;
  for (const work of parked) {
    const job: Job | undefined = hasJobs ? claim.get(work.runner, now) : undefined;
    hasJobs = job !== undefined;
    if (!job && work.round !== releasedRound) continue;
    parked.delete(work);
    answers.push(() => reply(work.response, job ?? { id: null }));
  }
});

function add(unit: Unit): void {
  if (units.length === 0) setImmediate(flush);
  units.push(unit);
}

function flush(): void {
  const batch = units;
  units = [];
  commit(batch);
  for (const answer of answers.splice(0)) answer();
}

function handle(
  path: string,
  body: { payload?: unknown; finished?: number | null; runner?: string; round?: string },
  response: ServerResponse,
): void {
  const now = Date.now();
  if (path === "/jobs") {
    add({
      run: () => {
        const { lastInsertRowid } = insert.run(JOB_STATE.queued, JSON.stringify(body.payload), now);
        answers.push(() => reply(response, { id: Number(lastInsertRowid) }));
      },
    });
  } else if (path === "/work") {
    // Finishes the last job and asks for the next one.
    add({
      run: () => {
        if (body.finished != null) finish.run(now, body.finished);
        const work = { runner: body.runner ?? "", round: body.round ?? "", response };
        parked.add(work);
        response.once("close", () => parked.delete(work));
      },
    });
  } else if (path === "/release") {
    // The end of a round: whoever is parked learns that its last finish is committed.
    add({
      run: () => {
        releasedRound = body.round ?? null;
        answers.push(() => reply(response, {}));
      },
    });
  } else {
    response.writeHead(404).end();
  }
}

function reply(response: ServerResponse, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}

function receive(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === "/healthz") {
    response.end();
    return;
  }
  if (request.headers.authorization !== PEER_AUTHORIZATION) {
    response.writeHead(401).end();
    return;
  }
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => (text += chunk));
  request.once("end", () => handle(request.url ?? "", text === "" ? {} : JSON.parse(text), response));
}

const server = createServer(receive).listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => {
  server.closeAllConnections();
  server.close(() => database.close());
});
