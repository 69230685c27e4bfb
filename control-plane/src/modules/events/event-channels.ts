import { ApiError } from "@shipfox/shared/errors";
import type { Access } from "../../http/access.ts";
import type { ChannelSink, Channels } from "../../http/channels.ts";
import { type EventStreamDeps, streamNote } from "./event-stream.ts";
import { followEvents } from "./follow-events.ts";
import { requireReadable } from "./readable-topic.ts";
import { startPosition } from "./start-position.ts";
import { parseTopic } from "./topics.ts";

/** Events of one subscription read at once: a socket may have a hundred of them, which all begin together. */
const PAGE = 50;

/** The topics of events as channels of a WebSocket. */
export function createEventChannels(deps: EventStreamDeps & { readonly access: Access }): Channels {
  const { store, access, clock } = deps;
  return {
    open: async (caller, channel, cursor) => {
      const topic = parseTopic(channel);
      if (!topic) {
        throw new ApiError("validation-error", "expected a channel as workspace:ID, run:ID or runners:ID");
      }
      const { workspaceId, after } = await store.read(async (tx) => {
        const place = await requireReadable(access, tx, caller, topic);
        return { workspaceId: place, after: await startPosition(tx, topic, place, cursor) };
      });
      return {
        after,
        check: async (tx) => void (await requireReadable(access, tx, caller, topic)),
        follow: async (sink: ChannelSink) => {
          const end = await followEvents(
            deps,
            { topic, workspaceId, after, page: PAGE },
            {
              get closed() {
                return sink.closed;
              },
              write: (batch) => sink.write(batch.messages),
              drained: () => sink.drained(),
              onClose: (callback) => sink.onClose(callback),
            },
          );
          if (typeof end !== "object") return;
          const note = streamNote(topic, { id: end.last, type: "end", payload: { status: end.status } }, clock.now());
          sink.write([Buffer.from(JSON.stringify({ channel, ...note }))]);
        },
      };
    },
  };
}
