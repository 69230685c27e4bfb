export interface ReceivedEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: string;
}

/** The events of a stream until it ends or is aborted. Comments and retry lines are passed over. */
export async function* eventsOf(response: Response): AsyncGenerator<ReceivedEvent> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() as string;
    for (const block of blocks) {
      const fields = block
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)] as const);
      const event = fields.find(([name]) => name === "event")?.[1];
      if (event === undefined) continue;
      const data = fields
        .filter(([name]) => name === "data")
        .map(([, value]) => value)
        .join("\n");
      yield { event, id: fields.find(([name]) => name === "id")?.[1], data };
    }
  }
}
