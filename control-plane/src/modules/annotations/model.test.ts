import { MAX_ANNOTATION_BODY_BYTES, MAX_ANNOTATIONS_PER_EXECUTION } from "@shipfox/shared/api/annotations";
import { annotationsBodySchema, type AnnotationOperation } from "@shipfox/shared/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyOperations, type KeptAnnotation } from "./model.ts";

const FIRST = { stepId: "step-1", stepAttempt: 1 };
const SECOND = { stepId: "step-2", stepAttempt: 1 };
const replace = (context: string, body: string, style?: "error"): AnnotationOperation => ({
  op: "replace",
  context,
  body,
  ...(style ? { style } : {}),
});
const append = (context: string, body: string): AnnotationOperation => ({ op: "append", context, body });
const remove = (context: string): AnnotationOperation => ({ op: "remove", context });
const apply = (existing: readonly KeptAnnotation[], operations: AnnotationOperation[], origin = FIRST, from = "a") =>
  applyOperations(
    existing,
    operations,
    origin,
    operations.map((_, index) => `${from}${index}`),
  );

describe("the operations of a batch", () => {
  it("replace, append and remove in order", () => {
    const { ids, written, removedIds, accounting } = apply(
      [],
      [replace("a", "one", "error"), append("a", "two"), replace("b", "x"), remove("b"), append("c", "three")],
    );
    expect(ids).toEqual(["a0", "a0", "a2", null, "a4"]);
    expect(written).toMatchObject([
      { id: "a0", context: "a", body: "one\ntwo", style: "error", sequence: 1 },
      { id: "a4", context: "c", body: "three", style: "default", sequence: 3 },
    ]);
    expect(removedIds).toEqual(["a2"]);
    expect(accounting).toEqual({ count: 2, totalBytes: 12 });
  });

  it("leave an annotation that is appended to with the step that began it, and give a replaced one to the new step", () => {
    const { written: existing } = apply([], [replace("a", "one"), replace("b", "one")]);
    const { ids, written } = apply(existing, [append("a", "two"), replace("b", "two")], SECOND, "b");
    expect(ids).toEqual(["a0", "a1"]);
    expect(written).toMatchObject([
      { context: "a", stepId: "step-1", sequence: 1 },
      { context: "b", stepId: "step-2", sequence: 2, body: "two" },
    ]);
  });

  it("are refused as a whole beyond a limit, which a removal before makes room for", () => {
    const many = Array.from({ length: MAX_ANNOTATIONS_PER_EXECUTION }, (_, index) => replace(`c${index}`, "x"));
    const { written } = apply([], many);
    expect(() => apply(written, [replace("one more", "x")])).toThrow(
      expect.objectContaining({ code: "annotation-count-limit-exceeded" }),
    );
    expect(apply(written, [remove("c0"), replace("one more", "x")]).accounting.count).toBe(
      MAX_ANNOTATIONS_PER_EXECUTION,
    );
    const big = "x".repeat(MAX_ANNOTATION_BODY_BYTES);
    expect(() => apply([], [replace("a", big), append("a", "x")])).toThrow(
      expect.objectContaining({ code: "annotation-body-too-large" }),
    );
    expect(() =>
      apply(
        [],
        ["a", "b", "c", "d", "e"].map((context) => replace(context, big)),
      ),
    ).toThrow(expect.objectContaining({ code: "annotation-total-bytes-limit-exceeded" }));
  });

  it("have the same result in one batch as in many", () => {
    const context = fc.constantFrom("a", "b", "c");
    const body = fc.string({ maxLength: 8 });
    const operation = fc.oneof(
      fc.record({ op: fc.constantFrom("replace" as const, "append" as const), context, body }),
      fc.record({ op: fc.constant("remove" as const), context }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const together = new Map(apply([], operations).written.map((kept) => [kept.context, kept.body]));
        let kept = new Map<string, KeptAnnotation>();
        for (const [index, one] of operations.entries()) {
          const { written, removedIds } = apply([...kept.values()], [one], FIRST, `${index}-`);
          kept = new Map([...kept].filter(([, annotation]) => !removedIds.includes(annotation.id)));
          for (const annotation of written) kept.set(annotation.context, annotation);
        }
        expect(together).toEqual(new Map([...kept].map(([name, annotation]) => [name, annotation.body])));
      }),
    );
  });
});

describe("the body of a batch", () => {
  const parse = (annotation: object) =>
    annotationsBodySchema.safeParse({
      step_id: "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11",
      attempt: 1,
      annotations: [annotation],
    });

  it.each([
    { context: "a", body: "x" },
    { context: " a ", style: "error", op: "append", body: "" },
    { context: "\u{1F98A}".repeat(255), body: "x" },
    { context: "a", op: "remove", style: "info" },
  ])("accepts %j", (annotation) => {
    expect(parse(annotation).success).toBe(true);
  });

  it("replaces by default and trims the context", () => {
    expect(parse({ context: " a ", body: "x" }).data?.annotations).toEqual([
      { op: "replace", context: "a", body: "x" },
    ]);
  });

  it.each([
    { context: "  ", body: "x" },
    { context: "\u{1F98A}".repeat(256), body: "x" },
    { context: "a" },
    { context: "a", op: "append" },
    { context: "a", op: "remove", body: "x" },
    { context: "a", body: "x", style: "loud" },
    { context: "a", body: "x", op: "prepend" },
    null,
  ])("refuses %j", (annotation) => {
    expect(parse(annotation as object).success).toBe(false);
  });
});
