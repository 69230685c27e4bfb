import { slug } from "@shipfox/shared/api/values";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deriveSlug, slugCandidates } from "./slug.ts";

describe("deriveSlug", () => {
  it.each([
    ["Acme Inc.", "acme-inc"],
    ["  Füße & Co  ", "fu-e-co"],
    ["Équipe Été", "equipe-ete"],
    ["a", "workspace"],
    ["日本", "workspace"],
    ["x".repeat(60), "x".repeat(40)],
  ])("%s becomes %s", (name, expected) => expect(deriveSlug(name, "workspace")).toBe(expected));
});

describe("slugCandidates", () => {
  it("are valid and distinct, whatever the name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 255 }), (name) => {
        const candidates = slugCandidates(name, "workspace");
        for (const candidate of candidates) expect(slug.safeParse(candidate).success).toBe(true);
        expect(new Set(candidates).size).toBe(candidates.length);
      }),
    );
  });
  it("count up", () => expect(slugCandidates("Acme", "x").slice(0, 3)).toEqual(["acme", "acme-2", "acme-3"]));
});
