import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { JsonClient } from "../json-client.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { PEER_AUTHORIZATION } from "./peer-protocol.ts";
import type { Contender, Load, Round } from "./round.ts";

const HEADERS = { authorization: PEER_AUTHORIZATION };

/** About as long as the body that fires a workflow. */
const JOB = { payload: { inputs: {} } };

interface PeerJob {
  readonly id: number | null;
}

/** Two requests a job: enqueue, and one that finishes the last job and asks for the next. */
export async function startLean(folder: string, load: Load, resources: AsyncDisposableStack): Promise<Contender> {
  const { pid, client } = await startPeer("lean", folder, load, resources);
  const post = <T>(path: string, body: unknown) => client.call<T>("POST", path, { headers: HEADERS, body });
  return {
    name: "lean ceiling",
    pid,
    enqueue: async () => void (await post("/jobs", JOB)),
    release: async (round) => void (await post("/release", { round: round.id })),
    work: async (index, round) => {
      const runner = `runner-${index}`;
      for (let finished: number | null = null; ; ) {
        const job: PeerJob = await post("/work", { runner, round: round.id, finished });
        if (finished !== null) round.finished();
        if (job.id === null) return;
        round.claimed();
        finished = job.id;
      }
    },
  };
}

/** Four requests a job: enqueue, claim, start, finish. */
export async function startNaive(folder: string, load: Load, resources: AsyncDisposableStack): Promise<Contender> {
  const { pid, client } = await startPeer("naive", folder, load, resources);
  const post = <T>(path: string, body: unknown, round?: Round) =>
    client.call<T>("POST", path, { headers: HEADERS, body, ...(round ? { signal: round.over } : {}) });
  return {
    name: "naive Express",
    pid,
    enqueue: async () => void (await post("/jobs", JOB)),
    work: async (index, round) => {
      const runner = `runner-${index}`;
      while (!round.over.aborted) {
        const job = await post<PeerJob>("/claim", { runner }, round).catch((error: unknown) => {
          if (round.over.aborted) return null;
          throw error;
        });
        if (job === null) return;
        round.claimed();
        await post(`/jobs/${job.id}/start`, { runner });
        await post(`/jobs/${job.id}/finish`, { status: "succeeded" });
        round.finished();
      }
    },
  };
}

async function startPeer(name: "lean" | "naive", folder: string, load: Load, resources: AsyncDisposableStack) {
  const port = await freePort();
  const server = startProcess(
    {
      name: `the ${name} server`,
      command: process.execPath,
      args: [fileURLToPath(import.meta.resolve(`./${name}-server.ts`)), String(port), join(folder, `${name}.sqlite`)],
      logFile: join(folder, `${name}.log`),
    },
    resources,
  );
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(`${url}/healthz`, server);
  const client = resources.adopt(new JsonClient(url, load.runners + load.producers + 1), (open) => open.close());
  return { pid: server.pid, client };
}
