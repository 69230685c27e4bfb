import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createParser } from "eventsource-parser";
import { awaitReady, freePort, startProcess } from "../server-process.ts";

const RUN_TIMEOUT_MS = 60_000;

/** Command, a process that POSTs what it prints, a server that sends it on as events: nothing is kept, checked or framed. */
export interface BareChain {
  /** Runs the command; hands over each line as it comes. */
  run(onLine: (line: string) => void): Promise<void>;
}

export async function startBareChain(
  folder: string,
  command: string,
  resources: AsyncDisposableStack,
): Promise<BareChain> {
  const start = async (program: string, ...args: string[]): Promise<string> => {
    const port = await freePort();
    const file = fileURLToPath(import.meta.resolve(`./${program}.ts`));
    const server = startProcess(
      {
        name: program,
        command: process.execPath,
        args: [file, String(port), ...args],
        logFile: join(folder, `${program}.log`),
      },
      resources,
    );
    const url = `http://127.0.0.1:${port}`;
    await awaitReady(`${url}/`, server);
    return url;
  };
  const tail = await start("tail-server");
  const sender = await start("sender-server", tail, command);
  return {
    run: async (onLine) => {
      const stream = await open(`${tail}/stream`);
      const parser = createParser({
        onEvent: ({ data }) => {
          for (const line of data.split("\n")) onLine(line);
        },
      });
      const running = fetch(sender, { method: "POST", signal: AbortSignal.timeout(RUN_TIMEOUT_MS) });
      stream.setEncoding("utf8");
      for await (const chunk of stream) parser.feed(chunk as string);
      const answer = await running;
      if (answer.status !== 200) throw new Error(`the bare chain failed: ${await answer.text()}`);
    },
  };
}

function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, resolve).once("error", reject);
  });
}
