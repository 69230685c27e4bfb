import type { Server } from "node:http";
import { ConfigError } from "@shipfox/shared/config";
import { METRICS_CONTENT_TYPE } from "@shipfox/shared/operate/metrics-text";
import { createSmallServer, type SmallReply, textReply } from "@shipfox/shared/operate/small-server";
import type { ProvisionerConfig } from "./config.ts";
import { renderMetrics } from "./metrics.ts";
import { describeHealth, healthOf, readStatus } from "./status.ts";
import type { World } from "./world.ts";

const UNAVAILABLE = 503;

/** `/metrics`, `/healthz` and `/readyz`; null without a port. Rejects with ConfigError when the address is taken. */
export async function openMetricsServer(
  { metricsHost, metricsPort }: Pick<ProvisionerConfig, "metricsHost" | "metricsPort">,
  world: World,
): Promise<Server | null> {
  if (metricsPort === null) return null;
  const server = createSmallServer({
    "GET /metrics": async () => ({
      status: 200,
      contentType: METRICS_CONTENT_TYPE,
      body: renderMetrics(world.monitor, readStatus(world)),
    }),
    "GET /healthz": async () => healthReply(world),
    "GET /readyz": async () =>
      world.monitor.lastListAt === null
        ? textReply(UNAVAILABLE, "the machines of the provider have not been listed yet")
        : healthReply(world),
  });
  await new Promise<void>((done, fail) => {
    server.once("error", (error) =>
      fail(
        new ConfigError(
          `The metrics cannot be served on ${metricsHost} port ${metricsPort}: ${error.message}. Set SHIPFOX_PROVISIONER_METRICS_PORT to a free port.`,
        ),
      ),
    );
    server.listen(metricsPort, metricsHost, done);
  });
  world.logger.info({ address: server.address() }, "serving /metrics, /healthz and /readyz");
  return server;
}

function healthReply(world: World): SmallReply {
  const health = healthOf(world);
  return textReply(health.state === "unhealthy" ? UNAVAILABLE : 200, describeHealth(health));
}
