import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: { stringValue?: string; intValue?: number } }[];
  readonly status: { code?: number; message?: string };
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: ReceivedSpan["attributes"] };
    readonly scopeSpans: readonly { readonly spans: readonly ReceivedSpan[] }[];
  }[];
}

/** A collector for OTLP over HTTP with JSON, that keeps what it gets, or answers with an error. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly resources: ReceivedSpan["attributes"][] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  status = 200;
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      this.headers.push({ ...request.headers, ":path": request.url });
      if (this.status === 200) this.#keep(JSON.parse(Buffer.concat(chunks).toString()) as ExportRequest);
      response.writeHead(this.status, { "content-type": "application/json" }).end("{}");
    });
  });

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Each span as its name below the names of those above it, in the order of their beginning. */
  tree(): string[] {
    const byId = new Map(this.spans.map((span) => [span.spanId, span]));
    const pathOf = ({ name, parentSpanId }: ReceivedSpan): string => {
      const parent = parentSpanId === undefined ? undefined : byId.get(parentSpanId);
      return parent ? `${pathOf(parent)} > ${name}` : name;
    };
    return this.spans.map(pathOf).toSorted();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #keep({ resourceSpans }: ExportRequest): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      this.resources.push(resource.attributes);
      for (const { spans } of scopeSpans) this.spans.push(...spans);
    }
  }
}
