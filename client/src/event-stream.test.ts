import { newId } from "@shipfox/shared/ids";
import { openEventStream, StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { expect, it } from "vitest";
import { createClient } from "./client.ts";
import type { EventStreamItem } from "./event-stream.ts";

const ROUTE = "GET /workflows/runs/*/events/stream";
const RUN = newId();

function frame(id: number, type: string, payload: object): string {
  const place = { workspace_id: newId(), project_id: null, job_id: null, job_execution_id: null, step_id: null };
  const at = "2026-07-06T10:00:00.000Z";
  const event = { id, type, run_id: RUN, created_at: at, payload: { ...place, ...payload } };
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`;
}
const started = (id: number) => frame(id, "run.started", { status: "running" });
const end = frame(9, "end", { status: "succeeded" });
const shown = (items: readonly EventStreamItem[]) =>
  items.map((item) => (item.kind === "event" ? item.event.id : item.kind));

it("goes on behind the last event when the connection is cut at any byte, until the run is over", async () => {
  await using server = await StandInServer.start();
  const frames = [2, 3, 4, 5].map(started);
  let connections = 0;
  server.on(ROUTE, ({ headers }, response) => {
    connections += 1;
    const last = Number(headers["last-event-id"] ?? 1);
    const rest = frames.slice(last - 1);
    openEventStream(response);
    response.write(frame(last, "connected", {}));
    if (rest.length === 0) return void response.end(end);
    const torn = (rest[1] ?? end).slice(0, connections * 23);
    response.write((rest[0] ?? "") + torn, () => response.destroy());
  });

  const client = createClient({ baseUrl: server.url });
  const items = await Array.fromAsync(client.events.followRun({ id: RUN }));

  const events = items.filter((item) => item.kind === "event");
  expect(events.map(({ event, cursor }) => [event.id, cursor])).toEqual([2, 3, 4, 5].map((id) => [id, String(id)]));
  expect(items.at(-1)).toEqual({ kind: "end", cursor: "9", status: "succeeded" });
  expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "2", "3", "4", "5"]);
});

it("starts behind a cursor, and passes over events of a newer server", async () => {
  await using server = await StandInServer.start();
  server.on(ROUTE, (_request, response) => {
    openEventStream(response);
    response.end(frame(4, "connected", {}) + frame(5, "run.teleported", {}) + started(6) + end);
    return undefined;
  });

  const client = createClient({ baseUrl: server.url });
  const items = await Array.fromAsync(client.events.followRun({ id: RUN, after: "4", logs: true }));

  expect(shown(items)).toEqual(["connected", "position", 6, "end"]);
  expect(server.requests[0]?.query.toString()).toBe("after=4&logs=true");
});

it("hands a refusal to the reader at once", async () => {
  await using server = await StandInServer.start();
  server.on(ROUTE, { status: 410, body: { code: "events-expired", details: { oldest_id: 7 } } });
  const stream = createClient({ baseUrl: server.url }).events.followRun({ id: RUN, after: "1" });
  await expect(stream.next()).rejects.toMatchObject({ code: "events-expired", details: { oldest_id: 7 } });
  expect(server.requests).toHaveLength(1);
});

it("closes the connection when the reader turns away", async () => {
  await using server = await StandInServer.start();
  const closed = Promise.withResolvers<void>();
  server.on(ROUTE, (_request, response) => {
    response.once("close", () => closed.resolve());
    openEventStream(response);
    response.write(started(2));
    return undefined;
  });
  for await (const item of createClient({ baseUrl: server.url }).events.followRun({ id: RUN }))
    if (item.kind === "event") break;
  await closed.promise;
  expect(server.requests).toHaveLength(1);
});
