import { isUtf8 } from "node:buffer";
import { z } from "zod";

/** Format of a step's log: one JSON object a line (NDJSON), each ending with "\n". Source: the machine protocol, 2.12. */
export const MAX_OUTPUT_DATA_BYTES = 16 * 1024;
export const MAX_GROUP_ID_BYTES = 256;
export const MAX_GROUP_NAME_BYTES = 1024;
export const MAX_SESSION_LINE_BYTES = 4 * 1024 * 1024;

/** At most 3 bytes per UTF-16 unit, so that short texts need no counting. */
const utf8AtMost = (bytes: number) => (text: string) => text.length <= bytes / 3 || Buffer.byteLength(text) <= bytes;
const envelope = { v: z.literal(1), ts: z.int().min(0) };
const groupId = z.string().min(1).refine(utf8AtMost(MAX_GROUP_ID_BYTES), "at most 256 bytes");

/** A record a runner may write. */
export const writableLogRecordSchema = z.discriminatedUnion("type", [
  z.object({
    ...envelope,
    type: z.literal("output"),
    stream: z.enum(["stdout", "stderr"]),
    data: z.string().min(1).refine(utf8AtMost(MAX_OUTPUT_DATA_BYTES), "at most 16 KiB"),
  }),
  z.object({
    ...envelope,
    type: z.literal("group_start"),
    group_id: groupId,
    parent_group_id: groupId.nullable(),
    name: z.string().refine(utf8AtMost(MAX_GROUP_NAME_BYTES), "at most 1 KiB"),
  }),
  z.object({ ...envelope, type: z.literal("group_end"), group_id: groupId }),
  z.object({ ...envelope, type: z.literal("end"), total_bytes: z.int().min(0) }),
  z.object({ ...envelope, type: z.literal("gap"), dropped_bytes: z.int().min(0) }),
  z.object({
    ...envelope,
    type: z.literal("agent_session"),
    data: z.string().min(1).refine(utf8AtMost(MAX_SESSION_LINE_BYTES), "at most 4 MiB"),
  }),
]);

/** What a reader may meet: the writable records and the two tombstones that only the server makes. */
export const logRecordSchema = z.union([
  writableLogRecordSchema,
  z.object({ ...envelope, type: z.enum(["capped", "runner_lost"]) }),
]);

export type WritableLogRecord = z.infer<typeof writableLogRecordSchema>;
export type LogRecord = z.infer<typeof logRecordSchema>;

export function encodeLogRecord(record: LogRecord): string {
  // Nearly all records are output; so it takes half the time.
  if (record.type === "output")
    return `{"v":1,"ts":${record.ts},"type":"output","stream":"${record.stream}","data":${JSON.stringify(record.data)}}\n`;
  return `${JSON.stringify(record)}\n`;
}

/** Parses whole lines as the server served them. Throws SyntaxError or ZodError on a line that is not a record. */
export function decodeLogRecords(ndjson: string): LogRecord[] {
  return ndjson
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => logRecordSchema.parse(JSON.parse(line)));
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** What a chunk that a runner sent holds. */
export interface ChunkFindings {
  /** Why the chunk is refused; null when every line is a record a runner may write. */
  readonly fault: string | null;
  /** An `end` record is among the lines. */
  readonly ends: boolean;
}

/**
 * Checks a chunk as `writableLogRecordSchema` would, by hand: every byte of every log passes through here, and the schema
 * is ten times slower. A test holds the two together.
 *
 * The bytes are kept and served as they are, so more is asked of them than of the values: whole lines, valid UTF-8, and
 * no raw carriage return (as white space it would be JSON, but it ends a line of server-sent events).
 */
export function inspectLogChunk(chunk: Buffer): ChunkFindings {
  if (chunk.length === 0) return { fault: null, ends: false };
  if (chunk[chunk.length - 1] !== NEWLINE) return refused("the chunk does not end with a newline");
  if (!isUtf8(chunk)) return refused("the chunk is not valid UTF-8");
  if (chunk.includes(CARRIAGE_RETURN)) return refused("the chunk holds a carriage return outside of a JSON string");
  // One character a byte: positions in the text are positions in the chunk.
  const text = chunk.toString("latin1");
  let ends = false;
  for (let start = 0, line = 1; start < text.length; line += 1) {
    const end = text.indexOf("\n", start);
    if (!isPlainOutput(text, start, end)) {
      let record: unknown;
      try {
        record = JSON.parse(chunk.toString("utf8", start, end));
      } catch {
        return refused(`line ${line} is not JSON`);
      }
      const fault = faultOf(record);
      if (fault !== null) return refused(`line ${line} is not a log record: ${fault}`);
      ends ||= (record as WritableLogRecord).type === "end";
    }
    start = end + 1;
  }
  return { fault: null, ends };
}

/** An output record as `encodeLogRecord` writes it, with data of at least one byte. Escapes as JSON has them. */
const PLAIN_OUTPUT =
  /\{"v":1,"ts":(?:0|[1-9][0-9]{0,14}),"type":"output","stream":"std(?:out|err)","data":"(?!")[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\0-\x1f]*)*"\}\n/y;

/** Nearly all lines are such, and this tells it in a fraction of the time that parsing takes. Longer ones are parsed. */
function isPlainOutput(text: string, start: number, end: number): boolean {
  if (end - start > MAX_OUTPUT_DATA_BYTES) return false;
  PLAIN_OUTPUT.lastIndex = start;
  return PLAIN_OUTPUT.test(text) && PLAIN_OUTPUT.lastIndex === end + 1;
}

/** The fault of a chunk that a runner sent, or null when every line is a record a runner may write. */
export function findMalformedRecord(chunk: Buffer): string | null {
  return inspectLogChunk(chunk).fault;
}

function refused(fault: string): ChunkFindings {
  return { fault, ends: false };
}

/** Every key that some writable record has. */
type RecordKey = WritableLogRecord extends infer R ? (R extends unknown ? keyof R : never) : never;

function faultOf(value: unknown): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "expected an object";
  const record = value as { readonly [Key in RecordKey]?: unknown };
  if (record.v !== 1) return "v must be 1";
  if (!isCount(record.ts)) return "ts must be milliseconds since 1970";
  switch (record.type) {
    case "output":
      if (record.stream !== "stdout" && record.stream !== "stderr") return "stream must be stdout or stderr";
      return isText(record.data, 1, MAX_OUTPUT_DATA_BYTES) ? null : "data must be text of 1 byte to 16 KiB";
    case "group_start":
      if (!isGroupId(record.group_id)) return "group_id must be text of 1 to 256 bytes";
      if (record.parent_group_id !== null && !isGroupId(record.parent_group_id))
        return "parent_group_id must be null or text of 1 to 256 bytes";
      return isText(record.name, 0, MAX_GROUP_NAME_BYTES) ? null : "name must be text of at most 1 KiB";
    case "group_end":
      return isGroupId(record.group_id) ? null : "group_id must be text of 1 to 256 bytes";
    case "end":
      return isCount(record.total_bytes) ? null : "total_bytes must be a count";
    case "gap":
      return isCount(record.dropped_bytes) ? null : "dropped_bytes must be a count";
    case "agent_session":
      return isText(record.data, 1, MAX_SESSION_LINE_BYTES) ? null : "data must be text of 1 byte to 4 MiB";
    default:
      return "type must be one that a runner may write";
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown, minLength: number, maxBytes: number): boolean {
  return typeof value === "string" && value.length >= minLength && utf8AtMost(maxBytes)(value);
}

function isGroupId(value: unknown): boolean {
  return isText(value, 1, MAX_GROUP_ID_BYTES);
}
