import { request } from "node:http";
import { controlSocketPath } from "./control-socket.ts";
import type { z } from "zod";

const CALL_LIMIT_MS = 5_000;
const MAX_REPLY_BYTES = 4 * 1024 * 1024;
const NOT_THERE = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];

/** No daemon listens for this state folder. */
export class NotRunningError extends Error {
  override readonly name = "NotRunningError";
}

/** A daemon is there, but it could not be talked to; `message` is a sentence for people. */
export class ControlError extends Error {
  override readonly name = "ControlError";
}

/** Talks to the daemon of a state folder on this machine; `name` is what people call it, such as "runner". */
export class ControlClient<Status> {
  private readonly stateFolder: string;
  private readonly name: string;
  private readonly statusSchema: z.ZodType<Status>;

  constructor(stateFolder: string, daemon: { name: string; statusSchema: z.ZodType<Status> }) {
    this.stateFolder = stateFolder;
    this.name = daemon.name;
    this.statusSchema = daemon.statusSchema;
  }

  async status(): Promise<Status> {
    return this.parse(this.statusSchema, await this.call("GET", "/status", AbortSignal.timeout(CALL_LIMIT_MS)));
  }

  async drain(): Promise<Status> {
    return this.parse(this.statusSchema, await this.call("POST", "/drain", AbortSignal.timeout(CALL_LIMIT_MS)));
  }

  /** The answer to one of its further questions, within `limitMs`. */
  async ask<Reply>(question: string, schema: z.ZodType<Reply>, limitMs: number): Promise<Reply> {
    return this.parse(schema, await this.call("GET", `/${question}`, AbortSignal.timeout(limitMs)));
  }

  /** Waits for the daemon's last word, its exit status; null when it went without one. Rejects when `signal` is aborted. */
  async ended(signal: AbortSignal): Promise<number | null> {
    try {
      const reply = (await this.call("GET", "/ended", signal)) as { exit_status?: unknown } | null;
      return typeof reply?.exit_status === "number" ? reply.exit_status : null;
    } catch (error) {
      if (signal.aborted) throw error;
      return null;
    }
  }

  private call(method: "GET" | "POST", path: string, signal: AbortSignal): Promise<unknown> {
    const socketPath = controlSocketPath(this.stateFolder);
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, method, path, signal, agent: false }, (response) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        response.on("data", (part: Buffer) => {
          bytes += part.length;
          if (bytes > MAX_REPLY_BYTES) response.destroy(new Error("the reply is too long"));
          else parts.push(part);
        });
        response.on("error", (error) =>
          reject(new ControlError(`The ${this.name}'s answer was cut off: ${error.message}.`)),
        );
        response.on("end", () => {
          try {
            resolve(JSON.parse(Buffer.concat(parts).toString("utf8")));
          } catch {
            reject(new ControlError(`The ${this.name} answered with HTTP ${response.statusCode}.`));
          }
        });
      });
      call.on("error", (error: NodeJS.ErrnoException) => reject(this.explain(error, socketPath)));
      call.end();
    });
  }

  private explain(error: NodeJS.ErrnoException, socketPath: string): Error {
    if (NOT_THERE.includes(error.code ?? "")) {
      return new NotRunningError(
        `No ${this.name} with the state folder ${this.stateFolder} is running. Name another one with --state-dir, or the file that does with --config-file.`,
      );
    }
    if (error.code === "EACCES")
      return new ControlError(`${socketPath} belongs to another user: run this as the ${this.name}'s user or as root.`);
    const why = error.name === "TimeoutError" ? "no answer in time" : error.message;
    return new ControlError(`The ${this.name} could not be asked: ${why}.`);
  }

  private parse<Reply>(schema: z.ZodType<Reply>, reply: unknown): Reply {
    const result = schema.safeParse(reply);
    if (result.success) return result.data;
    throw new ControlError(
      `The ${this.name}'s answer is not understood: it may be of another version than this command.`,
    );
  }
}
