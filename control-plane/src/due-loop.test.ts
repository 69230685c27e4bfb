import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { DueLoop } from "./due-loop.ts";
import { systemClock } from "./store/clock.ts";

function startedLoop(...tasks: ((now: number) => Promise<number | null>)[]): DueLoop {
  const loop = new DueLoop(systemClock, pino({ level: "silent" }));
  onTestFinished(() => loop.stop());
  loop.start(tasks);
  return loop;
}

it("looks when something is due, and earlier when something earlier comes up", async () => {
  const looks: number[] = [];
  const second = Promise.withResolvers<void>();
  const loop = startedLoop(async (now) => {
    looks.push(now);
    if (looks.length === 1) queueMicrotask(() => loop.arm(Date.now() + 20));
    if (looks.length === 2) second.resolve();
    return Date.now() + 3_600_000;
  });
  await second.promise;
  expect(looks).toHaveLength(2);
});

it("tries again after a fault", async () => {
  let looks = 0;
  const again = Promise.withResolvers<void>();
  startedLoop(async () => {
    looks += 1;
    if (looks === 1) throw new Error("the database is away");
    again.resolve();
    return null;
  });
  await again.promise;
  expect(looks).toBe(2);
});

it("does not forget what became due while it was looking", async () => {
  let looks = 0;
  const done = Promise.withResolvers<void>();
  const inRound = Promise.withResolvers<void>();
  const loop = startedLoop(async () => {
    looks += 1;
    if (looks === 1) {
      loop.arm(Date.now());
      await inRound.promise;
    } else done.resolve();
    return null;
  });
  setTimeout(() => inRound.resolve(), 20);
  await done.promise;
  expect(looks).toBeGreaterThan(1);
});

it("comes back at once to a task that left something, though the next one has nothing to do for long", async () => {
  let rounds = 0;
  const done = Promise.withResolvers<void>();
  const unfinished = async (now: number) => {
    rounds += 1;
    if (rounds === 3) done.resolve();
    return rounds < 3 ? now - 1_000 : null;
  };
  startedLoop(unfinished, async () => null);
  await done.promise;
  expect(rounds).toBe(3);
});
