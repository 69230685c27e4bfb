import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Contact, type ContactAction, type ContactEvent, decideContact, newContact } from "./contact.ts";

const LIMITS = { lookAfterMs: 28_000, outageLimitMs: 3_600_000 };
type Script = [seconds: number, event: "tick" | "down" | "silent" | "gone" | { answeredFrom: number }][];

function eventOf(at: number, event: Script[number][1]): ContactEvent {
  if (event === "tick") return { kind: "tick", at };
  if (event === "down") return { kind: "failed", how: "plane_down", at };
  if (event === "silent") return { kind: "failed", how: "silence", at };
  if (event === "gone") return { kind: "failed", how: "lease_gone", at };
  return { kind: "answered", sentAt: event.answeredFrom * 1000, at };
}

function play(script: Script): ContactAction[] {
  let contact = newContact(0);
  return script.map(([seconds, event]) => {
    const decision = decideContact(contact, eventOf(seconds * 1000, event), LIMITS);
    contact = decision.contact;
    return decision.action;
  });
}

describe("a job whose heartbeats are not answered", () => {
  it.each<[string, Script, ContactAction[]]>([
    [
      "goes on at first, whatever fails",
      [
        [5, "silent"],
        [27, "down"],
        [27.9, "tick"],
      ],
      ["none", "none", "none"],
    ],
    [
      "stands still after 28 s of silence, until an answer",
      [
        [20, "silent"],
        [28, "tick"],
        [35, "silent"],
        [36, { answeredFrom: 36 }],
      ],
      ["none", "pause", "none", "resume"],
    ],
    ["stands still also when no call has failed yet: the machine was asleep", [[600, "tick"]], ["pause"]],
    [
      "goes on while the plane is down, and says so once",
      [
        [20, "down"],
        [28, "tick"],
        [300, "down"],
      ],
      ["none", "go_on", "none"],
    ],
    [
      "stands still when the plane was down and then nothing is heard",
      [
        [28, "down"],
        [60, "silent"],
      ],
      ["go_on", "pause"],
    ],
    [
      "stays still when the plane is down after silence: the job may have been given away",
      [
        [28, "silent"],
        [60, "down"],
      ],
      ["pause", "none"],
    ],
    [
      "is killed by the answer that its lease is gone",
      [
        [28, "silent"],
        [50, "gone"],
        [51, "tick"],
      ],
      ["pause", "kill", "none"],
    ],
    [
      "is given up at the outage limit, paused",
      [
        [28, "silent"],
        [3600, "tick"],
      ],
      ["pause", "give_up"],
    ],
    [
      "is given up at the outage limit, running",
      [
        [28, "down"],
        [3600, "down"],
      ],
      ["go_on", "give_up"],
    ],
    [
      "is not resumed by an answer that was asleep with the machine",
      [
        [29, "tick"],
        [600, { answeredFrom: 1 }],
        [601, { answeredFrom: 600 }],
      ],
      ["pause", "none", "resume"],
    ],
    [
      "is counted from the sending of a heartbeat, not from its answer",
      [
        [20, { answeredFrom: 5 }],
        [33, "tick"],
      ],
      ["none", "pause"],
    ],
  ])("%s", (_promise, script, actions) => {
    expect(play(script)).toEqual(actions);
  });

  const anyEvent = fc.oneof(
    fc.constantFrom("tick" as const, "down" as const, "silent" as const),
    fc.record({ ago: fc.integer({ min: 0, max: 60 }) }),
    fc.constant("gone" as const),
  );
  const anyScript = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), anyEvent), { maxLength: 60 });

  it("never runs in doubt, stands still and goes on in turns, and ends once", () => {
    fc.assert(
      fc.property(anyScript, (steps) => {
        let seconds = 0;
        let contact: Contact = newContact(0);
        let runs = true;
        for (const [pause, step] of steps) {
          seconds += pause;
          const event = typeof step === "object" ? { answeredFrom: Math.max(0, seconds - step.ago) } : step;
          const decision = decideContact(contact, eventOf(seconds * 1000, event), LIMITS);
          const wasOver = contact.phase === "over";
          contact = decision.contact;
          if (wasOver) expect(decision.action).toBe("none");
          if (decision.action === "pause") expect(runs).toBe(true);
          if (decision.action === "resume") {
            expect(runs).toBe(false);
            expect(event).toHaveProperty("answeredFrom");
          }
          if (decision.action === "pause" || decision.action === "resume") runs = decision.action === "resume";
          if (contact.phase === "over") runs = false;
          const isSure = seconds * 1000 - contact.answeredAt < LIMITS.lookAfterMs;
          if (runs && !isSure) expect(contact).toMatchObject({ phase: "plane_down", failure: "plane_down" });
          expect(runs).toBe(contact.phase === "held" || contact.phase === "plane_down");
        }
      }),
    );
  });
});
