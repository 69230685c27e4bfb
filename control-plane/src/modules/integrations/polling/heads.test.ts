import fc from "fast-check";
import { expect, it } from "vitest";
import { decidePushes, type Heads, NO_COMMIT, readHeads } from "./heads.ts";

const [A, B] = ["a".repeat(40), "b".repeat(40)] as const;
const MAIN = "refs/heads/main";

it("takes the first look for no push, then each branch that moved or is new for one", () => {
  expect(decidePushes(null, { [MAIN]: A }, 10)).toEqual({ pushes: [], seen: { [MAIN]: A } });
  const { pushes, seen } = decidePushes({ [MAIN]: A, "refs/heads/gone": A }, { [MAIN]: B, "refs/heads/new": A }, 10);
  expect(pushes).toEqual([
    { ref: MAIN, before: A, after: B },
    { ref: "refs/heads/new", before: NO_COMMIT, after: A },
  ]);
  expect(seen).toEqual({ [MAIN]: B, "refs/heads/new": A });
});

it("comes to know all pushes, each once, however few it takes at a time", () => {
  const heads = fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e"), fc.constantFrom(A, B), {
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(heads, heads, fc.integer({ min: 1, max: 3 }), (before, after, limit) => {
      const all = decidePushes(before, after, 100).pushes;
      const taken = [];
      let known: Heads = before;
      for (let look = 0; look < 6; look += 1) {
        const { pushes, seen } = decidePushes(known, after, limit);
        taken.push(...pushes);
        known = seen;
      }
      expect(taken).toEqual(all);
      expect(known).toEqual(after);
    }),
  );
});

it("follows only the default branch of a repository with too many branches", () => {
  const output = `ref: ${MAIN}\tHEAD\n${A}\tHEAD\n${A}\t${MAIN}\n${B}\trefs/heads/x\n${B}\trefs/tags/v1\n`;
  expect(readHeads(output, "main", 2)).toEqual({ [MAIN]: A, "refs/heads/x": B });
  expect(readHeads(output, "main", 1)).toEqual({ [MAIN]: A });
});
