import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { logStateSchema } from "@shipfox/shared/api/logs";
import { newId } from "@shipfox/shared/ids";
import { onTestFinished } from "vitest";
import { createExpressApp } from "../../http/express-app.ts";
import { OpenStreams } from "../../http/open-streams.ts";
import { endAllStreams } from "../../http/sse.ts";
import { build } from "../../store/build.ts";
import type { Store } from "../../store/store.ts";
import type { StepLookup } from "./find-attempt.ts";
import { testServices, testTokens } from "../../testing/api.ts";
import { eventsOf } from "../../testing/read-sse.ts";
import { silent, type TestLogs } from "./logs.fixture.ts";
import type { StreamRef } from "./model.ts";
import { createLogRoutes } from "./routes.ts";

export interface LogServer {
  /** GET below the path of an attempt's log, as a member of every workspace, or as somebody who is in none. */
  get: (
    stream: StreamRef,
    rest?: string,
    options?: { headers?: Record<string, string>; signal?: AbortSignal; stranger?: boolean },
  ) => Promise<Response>;
}

/** The log routes on a real port. */
export async function serveLogs(store: Store, { logs, clock }: Pick<TestLogs, "logs" | "clock">): Promise<LogServer> {
  const [member, stranger] = [newId(), newId()];
  const steps: StepLookup = {
    findStep: async (tx, stepId) => {
      const row = await tx.row(
        build
          .selectFrom("steps as s")
          .innerJoin("job_executions as e", "e.id", "s.job_execution_id")
          .select([
            "e.workspace_id as workspaceId",
            "e.run_id as runId",
            "s.status",
            "s.current_attempt as currentAttempt",
          ])
          .where("s.id", "=", stepId),
      );
      return row ?? null;
    },
  };
  const access = {
    role: async (_tx: unknown, userId: string) => (userId === member ? ("viewer" as const) : null),
    instanceRole: async () => null,
  };
  const streams = new OpenStreams({ store, standing: { isGood: async () => true }, limit: 0, log: silent });
  const server = createServer(
    createExpressApp(createLogRoutes({ store, access, steps, logs, clock, streams, log: silent }), testServices()),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    endAllStreams();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tokenOf = (userId: string) =>
    testTokens.signUser({ userId, email: "a@b.c", name: null, refreshSessionId: newId() });
  return {
    get: (stream, rest = "", options = {}) =>
      fetch(`${base}/steps/${stream.stepId}/attempts/${stream.attempt}/logs${rest}`, {
        headers: { authorization: `Bearer ${tokenOf(options.stranger ? stranger : member)}`, ...options.headers },
        ...(options.signal ? { signal: options.signal } : {}),
      }),
  };
}

/** Everything of a stream: the log as it would stand in a file, the ids, and what the states `gap` and `end` said. */
export async function collect(
  response: Response,
): Promise<{ text: string; ids: number[]; gaps: unknown[]; end: unknown }> {
  let text = "";
  const gaps: unknown[] = [];
  const ids: number[] = [];
  for await (const { event, id, data } of eventsOf(response)) {
    const state = event === "state" ? logStateSchema.parse(JSON.parse(data)) : null;
    if (state?.state === "gap") gaps.push(state.dropped_bytes);
    if (state?.state === "end") return { text, ids, gaps, end: state };
    if (state) continue;
    text += `${data}\n`;
    ids.push(Number(id));
  }
  return { text, ids, gaps, end: null };
}
