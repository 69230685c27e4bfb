import { eventText } from "../../events/event-text.ts";
import { encodeFrame } from "../../http/sse.ts";
import type { RunEvent } from "../../store/store.ts";
import type { TopicName } from "./topics.ts";

/** Some events of one topic in their order, at least one. Each form is made once, whoever and however many they are for. */
export class EventBatch {
  readonly events: readonly RunEvent[];
  readonly #topic: TopicName;
  #texts: string[] | undefined;
  #frames: Buffer | undefined;
  #messages: Buffer[] | undefined;

  constructor(topic: TopicName, events: readonly RunEvent[]) {
    this.#topic = topic;
    this.events = events;
  }

  get last(): number {
    return this.events.at(-1)?.id ?? 0;
  }

  /** A run's followers have to look whether it is over. */
  get finishesRun(): boolean {
    return this.#topic.startsWith("run:") && this.events.some((event) => event.type === "run.finished");
  }

  /** One line of JSON for each event. */
  get texts(): readonly string[] {
    return (this.#texts ??= this.events.map(eventText));
  }

  /** Server-sent events, all in one buffer. */
  get frames(): Buffer {
    return (this.#frames ??= Buffer.from(
      this.events
        .map((event, at) => encodeFrame({ id: event.id, event: event.type, data: this.texts[at] as string }))
        .join(""),
    ));
  }

  /** Messages of a WebSocket: the same objects, with the name of the topic. */
  get messages(): readonly Buffer[] {
    return (this.#messages ??= this.texts.map((text) =>
      Buffer.from(`{"channel":${JSON.stringify(this.#topic)},${text.slice(1)}`),
    ));
  }
}
