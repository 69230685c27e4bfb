import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../logger.ts";
import { createSmallServer, jsonReply, type SmallHandler, type SmallReply } from "./small-server.ts";

/** `sun_path` of Linux holds 108 bytes with the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Where the daemon of a state folder listens. The folder is 0700, so that nobody else can connect while the socket is made. */
export function controlSocketPath(stateFolder: string): string {
  return join(stateFolder, "run", "control.sock");
}

export interface ControlActions {
  /** What the client of the same daemon understands. */
  status(): Promise<unknown>;
  drain(): void;
  /** Answers of its own to further `GET /name`, by name. */
  readonly questions?: Readonly<Record<string, () => Promise<unknown>>>;
}

/** The local door of a running daemon: `status` and `drain` of this command come in here, and nobody else may. */
export class ControlSocket {
  private readonly server;
  private readonly ended = Promise.withResolvers<{ exit_status: number }>();
  private readonly path: string;

  private constructor(path: string, actions: ControlActions) {
    this.path = path;
    const questions = Object.entries(actions.questions ?? {}).map(([name, answer]): [string, SmallHandler] => [
      `GET /${name}`,
      async () => jsonReply(200, await answer()),
    ]);
    this.server = createSmallServer({
      ...Object.fromEntries(questions),
      "GET /status": async () => jsonReply(200, await actions.status()),
      "POST /drain": async () => {
        actions.drain();
        return jsonReply(202, await actions.status());
      },
      "GET /ended": (gone) => this.whenEnded(gone),
    });
  }

  /** Listens. A daemon works without it, so what is wrong is logged and nothing more. */
  static async open(stateFolder: string, actions: ControlActions, logger: Logger): Promise<ControlSocket> {
    const socket = new ControlSocket(controlSocketPath(stateFolder), actions);
    try {
      await socket.listen();
    } catch (error) {
      logger.warn({ error: (error as Error).message }, "status and drain cannot reach this process");
    }
    return socket;
  }

  /** Tells those who wait for the end how it ended, then closes. */
  async close(exitStatus: number): Promise<void> {
    this.ended.resolve({ exit_status: exitStatus });
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      setTimeout(() => this.server.closeAllConnections(), CLOSE_LIMIT_MS).unref();
    });
    rmSync(this.path, { force: true });
  }

  private async listen(): Promise<void> {
    if (Buffer.byteLength(this.path) > MAX_SOCKET_PATH_BYTES)
      throw new Error(`the path ${this.path} is longer than a socket's may be; choose a shorter state folder`);
    mkdirSync(join(this.path, ".."), { recursive: true, mode: 0o700 });
    // The lock of the state folder is ours: what lies here is of a dead process.
    rmSync(this.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(this.path, resolve);
    });
    chmodSync(this.path, 0o600);
    this.server.on("error", () => {});
  }

  private async whenEnded(gone: AbortSignal): Promise<SmallReply> {
    const hungUp = new Promise<null>((resolve) => gone.addEventListener("abort", () => resolve(null)));
    return jsonReply(200, await Promise.race([this.ended.promise, hungUp]));
  }
}

const CLOSE_LIMIT_MS = 1_000;
