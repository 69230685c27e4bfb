import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";

/**
 * Waits until QEMU has opened all its files and its guest runs: it greets as soon as the channel is there, but answers the first
 * command only from its main loop. Rejects when the channel ends first, or `signal` is aborted.
 */
export async function untilStarted(channel: Duplex, signal: AbortSignal): Promise<void> {
  const lines = createInterface({ input: channel, signal, crlfDelay: Number.POSITIVE_INFINITY });
  channel.write('{"execute":"qmp_capabilities"}\n');
  for await (const line of lines) {
    const message = JSON.parse(line) as { return?: unknown; error?: { desc?: string } };
    if (message.error !== undefined) throw new Error(`QEMU refused the control channel: ${message.error.desc}`);
    if (message.return !== undefined) return;
  }
  signal.throwIfAborted();
  throw new Error("QEMU ended before it had started");
}
