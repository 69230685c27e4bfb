import { logEventSchema, RUN_EVENT_TYPES, runEventSchema, type ShownRunEvent } from "@shipfox/shared/api/events";
import { runStatusSchema } from "@shipfox/shared/api/runs";
import { z } from "zod";
import { type ConnectionSign, followStream, type StreamOptions } from "./event-source.ts";
import type { OpenStream } from "./log-stream.ts";

const endSchema = z.object({
  payload: z.object({ status: runStatusSchema.extract(["succeeded", "failed", "cancelled"]) }),
});

type LogPiece = z.output<typeof logEventSchema>["payload"];

/** `cursor` is where a later stream goes on, as its `after`. */
type EventItem = { readonly cursor: string } & (
  | { readonly kind: "position" }
  | { readonly kind: "event"; readonly event: ShownRunEvent }
  /** Records of the log of a step attempt, in streams with logs. */
  | { readonly kind: "log"; readonly log: LogPiece }
  | { readonly kind: "end"; readonly status: z.output<typeof endSchema>["payload"]["status"] }
);

/** Every connection begins with a `position`: behind which event it starts. */
export type EventStreamItem = EventItem | ConnectionSign;

/** Follows the events of a run to its end, or of a workspace until it is told to stop. See `followStream`. */
export function followEvents(open: OpenStream, options: StreamOptions): AsyncGenerator<EventStreamItem, void> {
  let lastId: string | null = null;
  return followStream<EventItem>(
    {
      name: "the event stream",
      open: (signal) => open(lastId, signal),
      read: ({ id, event, data }) => {
        lastId = id ?? lastId;
        const cursor = lastId ?? "";
        const document: unknown = JSON.parse(data);
        if (event === "connected") return [{ kind: "position", cursor }];
        if (event === "end") return [{ kind: "end", cursor, status: endSchema.parse(document).payload.status }];
        if (event === "log") return [{ kind: "log", cursor, log: logEventSchema.parse(document).payload }];
        // A newer server may tell of more than this version knows.
        if (!RUN_EVENT_TYPES.some((type) => type === event)) return [];
        return [{ kind: "event", cursor, event: runEventSchema.parse(document) }];
      },
      isEnd: ({ kind }) => kind === "end",
    },
    options,
  );
}
