import type { Server } from "node:http";
import { FatalError } from "../registration.ts";
import { METRICS_CONTENT_TYPE } from "@shipfox/shared/operate/metrics-text";
import { renderMetrics } from "./metrics.ts";
import type { Monitor } from "./monitor.ts";
import { createSmallServer, textReply } from "@shipfox/shared/operate/small-server";
import { healthOf, isReady, type Status } from "./status.ts";

const UNAVAILABLE = 503;

/** `/metrics`, `/healthz` and `/readyz`. Rejects with FatalError when the address is taken. */
export async function openMetricsServer(
  address: { host: string; port: number },
  monitor: Monitor,
  status: () => Promise<Status>,
): Promise<Server> {
  const server = createSmallServer({
    "GET /metrics": async () => ({
      status: 200,
      contentType: METRICS_CONTENT_TYPE,
      body: renderMetrics(monitor, await status()),
    }),
    "GET /healthz": async () => {
      const { state, reason } = healthOf(monitor);
      return state === "unhealthy" ? textReply(UNAVAILABLE, `unhealthy: ${reason}`) : textReply(200, state);
    },
    "GET /readyz": async () => {
      if (isReady(monitor)) return textReply(200, "ready");
      const { state, reason } = healthOf(monitor);
      const why = state === "healthy" ? "not asking for jobs yet" : `${state}${reason === null ? "" : `: ${reason}`}`;
      return textReply(UNAVAILABLE, `not ready: ${why}`);
    },
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new FatalError(
          `The metrics cannot be served on ${address.host} port ${address.port}: ${error.message}. Set SHIPFOX_RUNNER_METRICS_PORT to a free port.`,
        ),
      ),
    );
    server.listen(address.port, address.host, resolve);
  });
  return server;
}
