import { pino } from "pino";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WarmPool } from "./warm-pool.ts";

const logger = pino({ level: "silent" });

afterEach(() => {
  vi.useRealTimers();
});

function numbers(size: number, isUsable: (item: number) => boolean = () => true) {
  const made: number[] = [];
  const destroyed: number[] = [];
  let failures = 0;
  const pool = new WarmPool<number>({
    size,
    logger,
    refillDelayMs: 0,
    make: async () => {
      if (failures-- > 0) throw new Error("no more room");
      made.push(made.length + 1);
      return made.length;
    },
    isUsable: async (item) => isUsable(item),
    destroy: async (item) => void destroyed.push(item),
  });
  const failNext = (count: number) => {
    failures = count;
  };
  return { pool, made, destroyed, failNext };
}

describe("warm pool", () => {
  it("hands every item out once and makes the next ahead", async () => {
    const { pool, made } = numbers(2);
    pool.fill();
    expect([await pool.take(), await pool.take(), await pool.take()]).toEqual([1, 2, 3]);
    await expect.poll(() => made.length).toBe(5);
    await pool.close();
  });

  it("makes on demand with size 0", async () => {
    const { pool, made } = numbers(0);
    pool.fill();
    expect(made).toEqual([]);
    expect(await pool.take()).toBe(1);
  });

  it("replaces an item that died while it waited", async () => {
    const { pool, destroyed } = numbers(1, (item) => item !== 1);
    pool.fill();
    expect(await pool.take()).toBe(2);
    expect(destroyed).toEqual([1]);
    await pool.close();
  });

  it("replaces an item that waited for too long, also when nobody takes one", async () => {
    vi.useFakeTimers();
    const made: number[] = [];
    const destroyed: number[] = [];
    const pool = new WarmPool<number>({
      size: 1,
      logger,
      refillDelayMs: 0,
      maxAgeMs: 80,
      make: async () => made.push(made.length),
      isUsable: async () => true,
      destroy: async (item) => void destroyed.push(item),
    });
    pool.fill();
    await pool.settled();
    await vi.advanceTimersByTimeAsync(70);
    expect(destroyed).toEqual([]);
    await vi.advanceTimersByTimeAsync(30);
    expect(destroyed).toEqual([1]);
    expect(await pool.take()).toBe(2);
    await pool.close();
  });

  it("destroys on close what nobody took, and makes nothing more", async () => {
    const { pool, made, destroyed } = numbers(2);
    pool.fill();
    await pool.close();
    pool.fill();
    expect(destroyed).toEqual(made);
  });

  it("tells the caller why there is none, and tries again later by itself", async () => {
    vi.useFakeTimers();
    const { pool, made, failNext } = numbers(1);
    failNext(3);
    pool.fill();
    await expect(pool.take()).rejects.toThrow("no more room");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(made.length).toBe(1);
    expect(await pool.take()).toBe(1);
    await pool.close();
  });
});
