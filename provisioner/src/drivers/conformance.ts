import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  type CreateRequest,
  type InstanceTags,
  MAX_CONSOLE_CHARS,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "./driver.ts";

/** What every driver promises, whatever its machines are. Each test is one promise; none knows the provider. */

const TEST_TIMEOUT_MS = 120_000;
const MAX_LIFETIME_MS = 600_000;
const SHORT_LIFETIME_MS = 1_000;
const FAULTS = ["throttled", "no_capacity", "quota", "refused", "unavailable"];
const TOKEN = "sf_ert_conformance";

export interface DriverConformanceCase<Machine> {
  /** Opens the driver over an account that no other test uses. Called several times: as if by one daemon after another. */
  readonly open: () => Promise<Provider<Machine>>;
  /** The smallest machine that stays up until it is deleted. */
  readonly machine: () => Machine;
  /** One that the provider must refuse, such as that of a missing image. */
  readonly refusedMachine: () => Machine;
  /** What is at the provider and on this host of anything that was made, a line each: machines, disks, networks, files. */
  readonly leftovers: () => Promise<readonly string[]>;
  /** Makes a running machine by other means than the driver, with just these tags. Left out where nobody else can make one. */
  readonly plant?: (
    name: string,
    tags: Partial<InstanceTags>,
  ) => Promise<{
    readonly providerId: string;
    readonly exists: () => Promise<boolean>;
    readonly remove: () => Promise<void>;
  }>;
  /** One that prints more than a console may show, at last `the end`, and turns itself off. */
  readonly chattyMachine?: () => Machine;
  /** Opens the driver over a provider that does not answer. */
  readonly openUnreachable?: () => Promise<Provider<Machine>>;
  /** Opens the driver over the same account, whose lists break off after their first part. */
  readonly openBreakingLists?: () => Promise<Provider<Machine>>;
  /** False where the provider shows nobody the console of a machine. */
  readonly showsConsoles?: false;
  /** Whether a machine ends by itself at its max lifetime here; a pretended cloud runs none. */
  readonly endsItself: boolean;
  /** Whether a deleted machine stays listed as `stopping` or `stopped` for a while. */
  readonly remembersDeleted?: boolean;
}

export function driverConformance<Machine>(title: string, subject: DriverConformanceCase<Machine>): void {
  // oxlint-disable-next-line vitest/valid-title -- each caller names what it tests
  describe(title, { timeout: TEST_TIMEOUT_MS }, () => {
    const run = crypto.randomUUID().slice(0, 8);
    const owner = { controller: `0197-conformance-${run}`, pool: "main" };
    const strangers = [
      { ...owner, controller: `${owner.controller}x` },
      { ...owner, pool: "main-2" },
    ];
    const { signal } = new AbortController();
    let provider: Provider<Machine>;
    let made = 0;

    beforeAll(async () => {
      provider = await subject.open();
    });
    afterEach(async () => {
      for (const one of [owner, ...strangers]) await removeAll(one);
    });
    afterAll(async () => {
      await provider.close();
      await provider.close();
    });

    async function removeAll(one: typeof owner): Promise<void> {
      for (const { providerId, tags } of await listed(one)) {
        if (tags) await provider.delete({ providerId, tags }, signal);
      }
      await expect.poll(() => listed(one)).toEqual([]);
    }

    function order(options: Partial<CreateRequest<Machine>> = {}): CreateRequest<Machine> {
      made += 1;
      const name = `shipfox-${run}${String(made).padStart(4, "0")}`;
      return {
        name,
        tags: { ...owner, instance: `0197aaaa-0000-7000-8000-${run}${String(made).padStart(4, "0")}` },
        templateKey: "small",
        machine: subject.machine(),
        boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "http://127.0.0.1:9" } },
        maxLifetimeMs: MAX_LIFETIME_MS,
        ...options,
      };
    }

    /** What is there and not yet on its way out. */
    async function listed(one: Omit<InstanceTags, "instance"> = owner): Promise<readonly ObservedMachine[]> {
      const all = await provider.list(one, signal);
      return subject.remembersDeleted === true
        ? all.filter(({ state }) => state === "starting" || state === "running")
        : all;
    }

    const ids = async () => (await listed()).map(({ providerId }) => providerId).toSorted();

    it("lists a machine from its creation on with its tags, whole and exact", async () => {
      const request = order();
      const { providerId } = await provider.create(request, signal);
      expect(providerId).toMatch(/^.{1,255}$/);
      await expect.poll(() => listed()).toMatchObject([{ providerId, tags: request.tags }]);
      await expect.poll(async () => (await listed())[0]?.state).toBe("running");
    });

    it("makes one machine for an instance, however often, beside each other and by whom it is asked", async () => {
      const request = order();
      const again = await subject.open();
      try {
        const answers = await Promise.all([1, 2, 3].map(() => provider.create(request, signal)));
        answers.push(await provider.create(request, signal), await again.create(request, signal));
        const [providerId = ""] = new Set(answers.map((answer) => answer.providerId));
        expect(answers).toEqual(answers.map(() => ({ providerId })));
        await expect.poll(ids).toEqual([providerId]);
      } finally {
        await again.close();
      }
    });

    it("makes and deletes several machines side by side", async () => {
      const orders = [order(), order(), order()];
      const machines = await Promise.all(
        orders.map(async (request) => ({ ...(await provider.create(request, signal)), tags: request.tags })),
      );
      await expect.poll(ids).toEqual(machines.map(({ providerId }) => providerId).toSorted());
      await Promise.all(machines.flatMap((machine) => [1, 2].map(() => provider.delete(machine, signal))));
      await expect.poll(ids).toEqual([]);
    });

    it("finds and deletes as a new daemon what another one made", async () => {
      const first = await subject.open();
      const request = order();
      const { providerId } = await first.create(request, signal);
      await first.close();
      await expect.poll(ids).toEqual([providerId]);
      await provider.delete({ providerId, tags: request.tags }, signal);
      await expect.poll(ids).toEqual([]);
    });

    it("deletes by exactly the three tags, and again when the machine is gone", async () => {
      const { tags, ...rest } = order();
      const { providerId } = await provider.create({ tags, ...rest }, signal);
      await expect.poll(ids).toEqual([providerId]);
      const wrong = [{ controller: `${tags.controller}x` }, { pool: "main-2" }, { instance: `${tags.instance}x` }];
      for (const change of wrong) {
        const error = await rejection(provider.delete({ providerId, tags: { ...tags, ...change } }, signal));
        expect(error).toMatchObject({ fault: "refused", mayHaveHappened: false });
      }
      expect(await ids()).toEqual([providerId]);
      await provider.delete({ providerId, tags }, signal);
      await expect.poll(ids).toEqual([]);
      await provider.delete({ providerId, tags }, signal);
      expect(await provider.readConsole(providerId, signal).then((text) => text?.length ?? 0)).toBeLessThanOrEqual(
        MAX_CONSOLE_CHARS,
      );
    });

    it("neither lists nor deletes machines of another controller or pool", async () => {
      for (const stranger of strangers) {
        const request = order();
        const theirs = { ...request, tags: { ...request.tags, ...stranger } };
        const { providerId } = await provider.create(theirs, signal);
        await expect.poll(() => listed(stranger)).toMatchObject([{ providerId }]);
        expect(await listed()).toEqual([]);
        const error = await rejection(provider.delete({ providerId, tags: request.tags }, signal));
        expect(error.fault).toBe("refused");
        expect(await listed(stranger)).toMatchObject([{ providerId }]);
      }
    });

    const { plant, chattyMachine, openUnreachable, openBreakingLists } = subject;

    if (plant !== undefined) {
      it.each([
        ["no tags", {}],
        ["its controller only", { controller: owner.controller }],
        ["no instance", owner],
      ])("never takes a machine with %s for one of ours", async (_what, tags) => {
        const theirs = await plant(`planted-${run}-${(made += 1)}`, tags);
        try {
          for (const found of await provider.list(owner, signal)) {
            expect(found).toMatchObject({ providerId: theirs.providerId, tags: null });
          }
          const target = { providerId: theirs.providerId, tags: { ...owner, instance: "" } };
          expect((await rejection(provider.delete(target, signal))).fault).toBe("refused");
          expect(await theirs.exists()).toBe(true);
        } finally {
          await theirs.remove();
        }
      });

      it("lists a machine whose tags were copied beside the one they came from, and deletes the one that is named", async () => {
        const request = order();
        const mine = await provider.create(request, signal);
        const copy = await plant(`planted-${run}-${(made += 1)}`, request.tags);
        try {
          await expect.poll(ids).toEqual([mine.providerId, copy.providerId].toSorted());
          await provider.delete({ ...mine, tags: request.tags }, signal);
          await expect.poll(ids).toEqual([copy.providerId]);
          expect(await copy.exists()).toBe(true);
        } finally {
          await copy.remove();
        }
      });
    }

    it("refuses what cannot be made in words, leaving nothing", async () => {
      const error = await rejection(provider.create(order({ machine: subject.refusedMachine() }), signal));
      expect(error).toMatchObject({ fault: "refused", mayHaveHappened: false });
      expect(error.message).not.toContain(TOKEN);
      expect(await listed()).toEqual([]);
    });

    it("names in its check what would be refused, and nothing when all is well", async () => {
      expect(await provider.check([subject.machine()], signal)).toEqual([]);
      expect((await provider.check([subject.machine(), subject.refusedMachine()], signal)).length).toBeGreaterThan(0);
    });

    it("does nothing when it is told to stop before it begins", async () => {
      const stopped = AbortSignal.abort();
      const request = order();
      const { providerId } = await provider.create(request, signal);
      await expect.poll(ids).toEqual([providerId]);
      await rejection(provider.create(order(), stopped));
      await rejection(provider.delete({ providerId, tags: request.tags }, stopped));
      expect(await ids()).toEqual([providerId]);
    });

    it("stops soon when it is told to while it creates, and says when the machine may be there", async () => {
      const abort = new AbortController();
      const request = order();
      const creating = provider.create(request, abort.signal).then(
        () => true,
        (error: unknown) => {
          expectTyped(error);
          return error.mayHaveHappened;
        },
      );
      setImmediate(() => abort.abort());
      const mayBeThere = await creating;
      if (!mayBeThere) return expect(await listed()).toEqual([]);
      // Repeating it settles what happened: there is one now, whoever made it.
      const { providerId } = await provider.create(request, signal);
      await expect.poll(ids).toEqual([providerId]);
    });

    if (openUnreachable !== undefined) {
      it("rejects each call as unavailable when the provider does not answer", async () => {
        const lost = await openUnreachable();
        const target = { providerId: "i-1", tags: { ...owner, instance: "instance" } };
        const calls = [
          lost.list(owner, signal),
          lost.create(order(), signal),
          lost.delete(target, signal),
          ...(subject.showsConsoles === false ? [] : [lost.readConsole("i-1", signal)]),
          lost.check([subject.machine()], signal),
        ];
        const faults = await Promise.all(calls.map(async (call) => (await rejection(call)).fault));
        expect(faults).toEqual(calls.map(() => "unavailable"));
        await lost.close();
      });
    }

    if (openBreakingLists !== undefined) {
      it("answers a list whole or not at all", async () => {
        for (const request of [order(), order(), order()]) await provider.create(request, signal);
        await expect.poll(async () => (await listed()).length).toBe(3);
        const breaking = await openBreakingLists();
        await rejection(breaking.list(owner, signal));
        await breaking.close();
      });
    }

    if (chattyMachine !== undefined) {
      it("keeps the console of a machine that ended, its last characters, until it is deleted", async () => {
        const request = order({ machine: chattyMachine() });
        const { providerId } = await provider.create(request, signal);
        await expect.poll(async () => (await listed())[0]?.state).toBe("stopped");
        const text = (await provider.readConsole(providerId, signal)) ?? "";
        expect(text.trimEnd()).toMatch(/the end$/);
        expect(text.length).toBeLessThanOrEqual(MAX_CONSOLE_CHARS);
        expect(text).not.toContain(TOKEN);
        await provider.delete({ providerId, tags: request.tags }, signal);
        expect(await provider.readConsole(providerId, signal)).toBeNull();
      });
    }

    if (subject.endsItself) {
      it("has its machines end themselves at their max lifetime, whatever runs in them", async () => {
        const request = order({ maxLifetimeMs: SHORT_LIFETIME_MS });
        const { providerId } = await provider.create(request, signal);
        await expect.poll(async () => (await listed()).every(({ state }) => state === "stopped")).toBe(true);
        await provider.delete({ providerId, tags: request.tags }, signal);
      });
    }

    it("leaves nothing of a deleted machine, and machines as they are when it is closed", async () => {
      const before = await subject.leftovers();
      const once = await subject.open();
      const request = order();
      const { providerId } = await once.create(request, signal);
      await once.close();
      await expect.poll(ids).toEqual([providerId]);
      await provider.delete({ providerId, tags: request.tags }, signal);
      await expect.poll(subject.leftovers).toEqual(before);
    });
  });
}

function expectTyped(error: unknown): asserts error is ProviderError {
  expect(error).toBeInstanceOf(ProviderError);
  const { fault, message, mayHaveHappened, retryAfterMs } = error as ProviderError;
  expect(FAULTS).toContain(fault);
  expect(message.length).toBeGreaterThan(0);
  expect(fault === "refused" && mayHaveHappened).toBe(false);
  expect(retryAfterMs).toBeGreaterThanOrEqual(0);
}

async function rejection(call: Promise<unknown>): Promise<ProviderError> {
  const error = await call.then(
    () => new Error("resolved, although it had to reject"),
    (reason: unknown) => reason,
  );
  expectTyped(error);
  return error;
}
