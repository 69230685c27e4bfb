import { spawn } from "node:child_process";
import { once } from "node:events";

/** Prints each message as a line of JSON. Closing the descriptors that come along answers systemd-notify's barrier. */
const LISTENER = `
import array, json, os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("listening", flush=True)
while True:
    message, ancillary, _, _ = listener.recvmsg(65536, 4096)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            for descriptor in array.array("i", data[:len(data) - len(data) % 4]):
                os.close(descriptor)
    if b"BARRIER=1" not in message:
        print(json.dumps(message.decode().splitlines()), flush=True)
`;

/** What systemd would hear: a real datagram socket. Node has none of these, so Python holds it. */
export class NotifySocket {
  readonly messages: string[][] = [];
  private readonly child;
  private readonly waiting = new Set<() => void>();

  private constructor(path: string) {
    this.child = spawn("python3", ["-c", LISTENER, path], { stdio: ["ignore", "pipe", "inherit"] });
    let rest = "";
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("[")) this.messages.push(JSON.parse(line) as string[]);
      for (const look of this.waiting) look();
    });
  }

  static async listen(path: string): Promise<NotifySocket> {
    const socket = new NotifySocket(path);
    await once(socket.child.stdout, "data");
    return socket;
  }

  /** The position of the first message from `from` on that has the line. */
  heard(line: string | RegExp, from = 0): Promise<number> {
    const find = () =>
      this.messages.findIndex((message, index) => index >= from && message.some((one) => matches(one, line)));
    return new Promise((resolve) => {
      const look = () => {
        const found = find();
        if (found < 0) return;
        this.waiting.delete(look);
        resolve(found);
      };
      this.waiting.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    this.child.kill("SIGKILL");
    await once(this.child, "close");
  }
}

function matches(text: string, line: string | RegExp): boolean {
  return typeof line === "string" ? text === line : line.test(text);
}
