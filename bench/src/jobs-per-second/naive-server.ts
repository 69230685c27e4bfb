// What a good tutorial ends with: Express, JSON bodies, one route and one transaction for each of enqueue, claim, start and
// finish. A claim waits for a job, so that nobody polls.
//
//   node naive-server.ts PORT DATABASE_FILE
import Database from "better-sqlite3";
import express, { type Request } from "express";
import { CREATE_JOBS, JOB_STATE, PEER_AUTHORIZATION } from "./peer-protocol.ts";

const [port, file] = process.argv.slice(2);
const database = new Database(file);
database.pragma("journal_mode = wal");
database.pragma("synchronous = full");
database.exec(CREATE_JOBS);
const insert = database.prepare("insert into jobs (state, payload, created_at) values (?, ?, ?)");
const claim = database.prepare<unknown[], { id: number; payload: string }>(
  `update jobs set state = ${JOB_STATE.claimed}, runner = ?, claimed_at = ?
   where id = (select id from jobs where state = ${JOB_STATE.queued} order by id limit 1) returning id, payload`,
);
const start = database.prepare(`update jobs set state = ${JOB_STATE.started}, started_at = ? where id = ?`);
const finish = database.prepare(`update jobs set state = ${JOB_STATE.finished}, finished_at = ? where id = ?`);

/** Claims that wait for a job, the oldest first. */
const waiting = new Set<() => void>();

const app = express();
app.get("/healthz", (_request, response) => void response.sendStatus(200));
app.use((request, response, next) => {
  if (request.headers.authorization === PEER_AUTHORIZATION) next();
  else response.sendStatus(401);
});
app.use(express.json());

app.post("/jobs", (request: Request<object, unknown, { payload: unknown }>, response) => {
  const { lastInsertRowid } = insert.run(JOB_STATE.queued, JSON.stringify(request.body.payload), Date.now());
  response.status(201).json({ id: Number(lastInsertRowid) });
  const [first] = waiting;
  first?.();
});

app.post("/claim", (request: Request<object, unknown, { runner: string }>, response) => {
  const look = () => {
    const job = claim.get(request.body.runner, Date.now());
    waiting.delete(look);
    if (job) response.json(job);
    else waiting.add(look);
  };
  response.once("close", () => waiting.delete(look));
  look();
});

app.post("/jobs/:id/start", (request, response) => {
  start.run(Date.now(), Number(request.params.id));
  response.json({ ok: true });
});

app.post("/jobs/:id/finish", (request, response) => {
  finish.run(Date.now(), Number(request.params.id));
  response.json({ ok: true });
});

const server = app.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => {
  server.closeAllConnections();
  server.close(() => database.close());
});
