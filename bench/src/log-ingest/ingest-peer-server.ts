// Takes log chunks. "sink" throws them away and answers; "files" appends each durably to a file of its log; "blobs" keeps each
// as a row of SQLite, durably, with group commit.
//
//   node ingest-peer-server.ts sink|files|blobs PORT PATH
import { constants, open, write } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import Database from "better-sqlite3";

const [mode, port, file] = process.argv.slice(2);

interface Chunk {
  readonly path: string;
  readonly bytes: Buffer;
  readonly response: ServerResponse;
}

const TAKERS = { sink: () => answer, files: openFiles, blobs: openBlobs };
const take = TAKERS[mode as keyof typeof TAKERS](file as string);

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    take({ path: request.url ?? "", bytes, response });
  });
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());

function answer({ bytes, response }: Chunk): void {
  const body = `{"committed_length":${bytes.length},"capped":false}`;
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
}

/** A chunk of a log comes when the one before it was answered, so each file has one writer. */
function openFiles(path: string): (chunk: Chunk) => void {
  const files = new Map<string, { descriptor: number; length: number }>();
  const append = (file: { descriptor: number; length: number }, chunk: Chunk) => {
    write(file.descriptor, chunk.bytes, 0, chunk.bytes.length, file.length, (error) => {
      if (error) throw error;
      file.length += chunk.bytes.length;
      answer(chunk);
    });
  };
  return (chunk) => {
    const known = files.get(chunk.path);
    if (known) return append(known, chunk);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_DSYNC;
    open(`${path}-${files.size}-${Math.random()}`, flags, (error, descriptor) => {
      if (error) throw error;
      const file = { descriptor, length: 0 };
      files.set(chunk.path, file);
      append(file, chunk);
    });
  };
}

/** What arrives in one turn of the event loop shares a transaction. */
function openBlobs(path: string): (chunk: Chunk) => void {
  const database = new Database(path);
  database.pragma("journal_mode = wal");
  database.pragma("synchronous = full");
  database.exec("create table chunks (id integer primary key, stream text not null, bytes blob not null)");
  const insert = database.prepare("insert into chunks (stream, bytes) values (?, ?)");
  const store = database.transaction((chunks: readonly Chunk[]) => {
    for (const chunk of chunks) insert.run(chunk.path, chunk.bytes);
  });
  let waiting: Chunk[] = [];
  return (chunk) => {
    if (waiting.push(chunk) > 1) return;
    setImmediate(() => {
      const chunks = waiting;
      waiting = [];
      store(chunks);
      for (const each of chunks) answer(each);
    });
  };
}
