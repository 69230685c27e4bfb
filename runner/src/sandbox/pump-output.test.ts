import { afterEach, expect, it, vi } from "vitest";
import { DRAIN_MS, type OutputChunk, pumpOutput } from "./pump-output.ts";

afterEach(() => {
  vi.useRealTimers();
});

const chunk = (text: string): OutputChunk => ({ stream: "stdout", chunk: Buffer.from(text) });

async function* until(texts: string[], then: Promise<unknown>): AsyncGenerator<OutputChunk> {
  for (const text of texts) yield chunk(text);
  await then;
}

it("hands chunks on one at a time and ends with its source", async () => {
  const seen: string[] = [];
  let busy = false;
  await pumpOutput(until(["a", "b", "c"], Promise.resolve()), new Promise(() => {}), async (_stream, data) => {
    expect(busy).toBe(false);
    busy = true;
    await new Promise(setImmediate);
    busy = false;
    seen.push(data.toString());
  });
  expect(seen).toEqual(["a", "b", "c"]);
});

it("waits a second for a source that stays open after the step ended", async () => {
  vi.useFakeTimers();
  let isOver = false;
  const pump = pumpOutput(until(["a"], new Promise(() => {})), Promise.resolve(), () => {}).then(() => {
    isOver = true;
  });
  await vi.advanceTimersByTimeAsync(DRAIN_MS - 1);
  expect(isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(2);
  await pump;
});

it("does not count the time that its reader takes", async () => {
  vi.useFakeTimers();
  const seen: string[] = [];
  const slow = async (_stream: string, data: Buffer) => {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_MS * 5));
    seen.push(data.toString());
  };
  const pump = pumpOutput(until(["a", "b", "c"], Promise.resolve()), Promise.resolve(), slow);
  await vi.advanceTimersByTimeAsync(DRAIN_MS * 16);
  await pump;
  expect(seen).toEqual(["a", "b", "c"]);
});

it("rejects with what its reader rejects with", async () => {
  const broken = () => Promise.reject(new Error("full"));
  await expect(pumpOutput(until(["a"], Promise.resolve()), Promise.resolve(), broken)).rejects.toThrow("full");
});
