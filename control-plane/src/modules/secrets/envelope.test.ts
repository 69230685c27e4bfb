import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Envelope, EnvelopeError } from "./envelope.ts";

const envelope = new Envelope(Buffer.alloc(32, 7));
const context = { workspaceId: "workspace-a", name: "deploy-token" };

function reasonOf(open: () => string): string {
  try {
    open();
    return "opened";
  } catch (error) {
    if (error instanceof EnvelopeError) return error.reason;
    throw error;
  }
}

describe("Envelope", () => {
  it("opens what it sealed, whatever the text, and seals the same text differently each time", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), fc.string(), (plain, workspaceId, name) => {
        const sealed = envelope.seal(plain, { workspaceId, name });
        expect(envelope.open(sealed, { workspaceId, name })).toBe(plain);
        expect(envelope.seal(plain, { workspaceId, name })).not.toBe(sealed);
        expect(sealed).toMatch(/^v1\.[0-9a-f]{8}\.[\w-]{16}\.[\w-]+$/);
      }),
    );
  });

  it("refuses another workspace or name, also when the two run together to the same letters", () => {
    const distinct = fc.tuple(fc.string(), fc.string(), fc.string(), fc.string());
    fc.assert(
      fc.property(
        distinct.filter(([a, b, c, d]) => a !== c || b !== d),
        ([workspaceId, name, otherWorkspace, otherName]) => {
          const sealed = envelope.seal("secret", { workspaceId, name });
          expect(reasonOf(() => envelope.open(sealed, { workspaceId: otherWorkspace, name: otherName }))).toBe(
            "refused",
          );
        },
      ),
    );
    const sealed = envelope.seal("secret", { workspaceId: "ab", name: "c" });
    expect(reasonOf(() => envelope.open(sealed, { workspaceId: "a", name: "bc" }))).toBe("refused");
  });

  it("refuses a text of which any character was changed", () => {
    const sealed = envelope.seal("a secret of some length", context);
    fc.assert(
      fc.property(
        fc.nat(sealed.length - 1),
        fc.constantFrom("A", "Z", "a", "z", "0", "9", "-", "_", "."),
        (at, character) => {
          fc.pre(sealed[at] !== character);
          const changed = sealed.slice(0, at) + character + sealed.slice(at + 1);
          expect(reasonOf(() => envelope.open(changed, context))).not.toBe("opened");
        },
      ),
    );
  });

  it("refuses a text that was cut", () => {
    const sealed = envelope.seal("secret", context);
    for (let length = 0; length < sealed.length; length += 1) {
      expect(reasonOf(() => envelope.open(sealed.slice(0, length), context))).not.toBe("opened");
    }
  });

  it("names the other root key as the reason", () => {
    const sealed = new Envelope(Buffer.alloc(32, 8)).seal("secret", context);
    expect(reasonOf(() => envelope.open(sealed, context))).toBe("unknown-key");
  });
});
