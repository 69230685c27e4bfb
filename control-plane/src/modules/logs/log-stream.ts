import type { SseStream } from "../../http/sse.ts";
import { type FollowLogOptions, followLog } from "./follow-log.ts";
import { encodeState } from "./log-frames.ts";
import type { Logs } from "./logs.ts";

/** Sends a log as server-sent events up to the state `end`. */
export async function streamLog(logs: Logs, sse: SseStream, options: FollowLogOptions): Promise<void> {
  const end = await followLog(
    logs,
    {
      get closed() {
        return sse.closed;
      },
      opened: () => sse.write(encodeState({ state: "open" })),
      write: (piece) => sse.write(piece.frame),
      drained: () => sse.drained(),
      onClose: (callback) => sse.onClose(callback),
    },
    options,
  );
  if (end) sse.write(encodeState({ state: "end", truncated: end.truncated }));
  sse.end();
}
