import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

const stage = useStage();

it("a run is a trace at the collector that is named, and its steps know where in it they are", async () => {
  const spans: Span[] = [];
  const url = await collect(spans);
  const plane = await ControlPlane.start(stage, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } });
  const instance = await Instance.create(stage, plane);
  await instance.runner();
  const job = `  job:\n    steps:\n      - name: tell\n        run: echo "I am $TRACEPARENT"\n`;
  const project = await instance.project({ "traced.yml": workflow("Traced", job) });
  const runId = await instance.fire(project, "Traced");
  const run = await instance.waitForRun(runId);
  expect(run.status).toBe("succeeded");
  const step = run.jobs[0]?.job_executions[0]?.steps.find(({ name }) => name === "tell");
  const [, traceId, spanId] =
    /I am 00-([0-9a-f]{32})-([0-9a-f]{16})-01\n/.exec(await instance.logText(step?.id ?? "")) ?? [];

  const told = await eventually("the trace of the run arrives", async () =>
    spans.find((span) => span.spanId === spanId),
  );
  expect(told.traceId).toBe(traceId);
  const path: string[] = [];
  for (let at: Span | undefined = told; at; at = spans.find((span) => span.spanId === at?.parentSpanId))
    path.unshift(at.name);
  expect(path).toEqual(["Traced", "job job", "execution 1", "step tell"]);
}, 120_000);

/** A collector that keeps the spans it gets; answers its address. */
async function collect(spans: Span[]): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
      };
      for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.onEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
