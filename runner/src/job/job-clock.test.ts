import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { JobClock } from "./job-clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a job's clock", () => {
  it("does not count the time in which the job stands still", () => {
    const clock = new JobClock();
    const fire = vi.fn<() => void>();
    clock.after(1_000, fire);
    vi.advanceTimersByTime(600);
    clock.stop();
    clock.stop();
    vi.advanceTimersByTime(60_000);
    clock.start();
    vi.advanceTimersByTime(399);
    expect(fire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fire).toHaveBeenCalledOnce();
  });

  it("starts what is set while it stands still when it goes on, and forgets what is taken back", () => {
    const clock = new JobClock();
    const [kept, forgotten] = [vi.fn<() => void>(), vi.fn<() => void>()];
    clock.stop();
    clock.after(10, kept);
    clock.after(10, forgotten)();
    vi.advanceTimersByTime(100);
    clock.start();
    vi.advanceTimersByTime(10);
    expect(kept).toHaveBeenCalledOnce();
    expect(forgotten).not.toHaveBeenCalled();
  });

  it("does not fire at once for a time that no timer can hold", () => {
    const clock = new JobClock();
    const fire = vi.fn<() => void>();
    clock.after(2 ** 31, fire);
    vi.advanceTimersByTime(1_000);
    expect(fire).not.toHaveBeenCalled();
  });
});
