import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Stage } from "./stage.ts";

const REAL_SOCKET = "/var/run/docker.sock";

/** Docker's socket under another path, behind which Docker can be made to vanish, to fall silent and to come back. */
export class DockerProxy {
  readonly path: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #isSilent = false;

  private constructor(path: string) {
    this.path = path;
  }

  static async start(stage: Stage): Promise<DockerProxy> {
    const proxy = new DockerProxy(join(await stage.folder("docker"), "docker.sock"));
    await proxy.revive();
    stage.onEnd(() => proxy.vanish());
    return proxy;
  }

  get host(): string {
    return `unix://${this.path}`;
  }

  /** Every open connection breaks, new ones are refused. */
  async vanish(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const socket of this.#sockets) socket.destroy();
    if (!server) return;
    server.close();
    await once(server, "close");
  }

  /** Connections stay open and new ones are accepted, but nothing is answered any more; `vanish` and `revive` end that. */
  hang(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.resume();
    }
  }

  async revive(): Promise<void> {
    this.#isSilent = false;
    const server = createServer((client) => {
      if (this.#isSilent) {
        this.#sockets.add(client);
        client.on("error", () => undefined);
        client.on("close", () => this.#sockets.delete(client));
        return void client.resume();
      }
      const engine = connect(REAL_SOCKET);
      for (const [own, other] of [
        [client, engine],
        [engine, client],
      ] as const) {
        this.#sockets.add(own);
        own.pipe(other);
        own.on("error", () => other.destroy());
        own.on("close", () => {
          this.#sockets.delete(own);
          other.destroy();
        });
      }
    });
    server.listen(this.path);
    await once(server, "listening");
    this.#server = server;
  }
}
