import { ROOT_CONTEXT, SpanStatusCode, trace, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOnSampler, BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Logger } from "@shipfox/shared/logger";
import { VERSION } from "@shipfox/shared/version";
import type { PlannedSpan } from "./plan-spans.ts";

/** Spans that wait to be sent; with more, new ones are dropped. */
const MAX_WAITING = 8_192;
const BATCH = 512;
const SEND_AFTER_MS = 1_000;
const SUCCESS = 0;

export interface SpanExporterOptions {
  /** The whole address to post to. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  readonly log: Logger;
}

/** What became of spans since the start. */
export interface SpanCounts {
  sent: number;
  failed: number;
  dropped: number;
}

/**
 * Sends spans by OTLP over HTTP, in the background, one batch after another. Only this file loads the packages of OpenTelemetry,
 * and only a server with an endpoint loads this file. An endpoint that does not answer costs spans, never time of anybody.
 */
export class SpanSender {
  readonly counts: SpanCounts = { sent: 0, failed: 0, dropped: 0 };
  readonly #log: Logger;
  readonly #provider: TracerProvider;
  readonly #next = { traceId: "", spanId: "" };
  #waiting = 0;
  #isAway = false;

  constructor({ url, headers, serviceName, log }: SpanExporterOptions) {
    this.#log = log;
    const processor = new BatchSpanProcessor({
      exporter: this.#counted(new OTLPTraceExporter({ url, headers: { ...headers } })),
      maxQueueSize: MAX_WAITING,
      maxExportBatchSize: BATCH,
      scheduledDelayMillis: SEND_AFTER_MS,
    });
    const next = this.#next;
    this.#provider = new TracerProvider({
      resource: defaultResource()
        .merge(resourceFromAttributes({ "service.name": serviceName, "service.version": VERSION }))
        .merge(detectResources({ detectors: [envDetector] })),
      sampler: new AlwaysOnSampler(),
      idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
      spanProcessors: [processor],
    });
  }

  send(spans: readonly PlannedSpan[]): void {
    const tracer = this.#provider.getTracer("shipfox", VERSION);
    for (const planned of spans) {
      if (this.#waiting >= MAX_WAITING) {
        this.counts.dropped += 1;
        continue;
      }
      const { traceId, spanId, parentId, name, start, end, attributes, failure } = planned;
      Object.assign(this.#next, { traceId, spanId });
      const parent =
        parentId === null
          ? ROOT_CONTEXT
          : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentId, traceFlags: TraceFlags.SAMPLED });
      const span = tracer.startSpan(name, { startTime: new Date(start), attributes: { ...attributes } }, parent);
      if (failure !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      this.#waiting += 1;
      span.end(new Date(end));
    }
  }

  /** Sends what waits, and closes. What cannot be sent any more is counted, and no fault of the stop. */
  async stop(): Promise<void> {
    await this.#provider.shutdown().catch(() => undefined);
  }

  #counted(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          const isSent = result.code === SUCCESS;
          this.#waiting -= spans.length;
          this.counts[isSent ? "sent" : "failed"] += spans.length;
          this.#tell(isSent, result.error);
          done(result);
        }),
      forceFlush: async () => exporter.forceFlush?.(),
      shutdown: () => exporter.shutdown(),
    };
  }

  /** Once for each time that it goes and comes back. */
  #tell(isSent: boolean, error: Error | undefined): void {
    if (isSent === !this.#isAway) return;
    this.#isAway = !isSent;
    if (isSent) this.#log.info("traces are taken again");
    else this.#log.warn({ reason: error?.message }, "traces are not taken; they are dropped until they are");
  }
}
