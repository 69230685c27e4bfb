import type { Logger } from "@shipfox/shared/logger";
import type { Config } from "../config.ts";
import type { Store } from "../store/store.ts";
import { RunTraces } from "./run-traces.ts";

/** Null without an endpoint: nothing of OpenTelemetry is loaded then. */
export async function openTraces(
  { otlpEndpoint, otlpTracesEndpoint, otlpHeaders, otelServiceName }: Config,
  { store, log }: { store: Store; log: Logger },
): Promise<RunTraces | null> {
  const url = otlpTracesEndpoint ?? (otlpEndpoint && `${otlpEndpoint.replace(/\/+$/, "")}/v1/traces`);
  if (!url) return null;
  const { SpanSender } = await import("./span-exporter.ts");
  const sender = new SpanSender({ url, headers: otlpHeaders, serviceName: otelServiceName, log });
  return new RunTraces({ store, log, sender });
}
