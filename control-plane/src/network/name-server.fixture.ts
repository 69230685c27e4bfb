import { createSocket } from "node:dgram";
import { once } from "node:events";

const TYPE_A = 1;
const HEADER_BYTES = 12;

export interface NameServer {
  /** As `setServers` of a resolver takes it. */
  readonly address: string;
  /** Names that were asked for, one entry a question. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** A real name server on loopback that answers with what `answer` says at that moment; only IPv4 addresses exist. */
export async function serveNames(answer: (name: string, turn: number) => string[]): Promise<NameServer> {
  const asked: string[] = [];
  const turns = new Map<string, number>();
  const socket = createSocket("udp4", (query, { port, address }) => {
    const { name, type, end } = question(query);
    asked.push(name);
    const turn = turns.get(name) ?? 0;
    const addresses = type === TYPE_A ? answer(name, turn) : [];
    if (type === TYPE_A) turns.set(name, turn + 1);
    socket.send(reply(query, end, addresses), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString());
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** The question again, then an A record of zero seconds for each address. */
function reply(query: Buffer, end: number, addresses: readonly string[]): Buffer {
  const header = Buffer.from(query.subarray(0, HEADER_BYTES));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  const records = addresses.map((address) =>
    Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split(".").map(Number)]),
  );
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...records]);
}
