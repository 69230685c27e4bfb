import type { AnnotationOperation } from "@shipfox/shared/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker } from "../logs/masking.ts";
import { AnnotationBudget } from "./annotation-budget.ts";
import { foldOperations, parseAnnotationFile, remarkBody } from "./annotations.ts";
import { StepAnnotations } from "./step-annotations.ts";

const replace = (context: string, body: string): AnnotationOperation => ({ op: "replace", context, body });

describe("a file of SHIPFOX_ANNOTATIONS_DIR", () => {
  it("is one operation", () => {
    expect(parseAnnotationFile('{"context":" a ","body":"x","style":"warning"}')).toEqual({
      op: "replace",
      context: "a",
      body: "x",
      style: "warning",
    });
    expect(parseAnnotationFile('{"context":"a","op":"append","body":"x"}')).toMatchObject({ op: "append" });
    expect(parseAnnotationFile('{"context":"a","op":"remove","body":"x"}')).toEqual({ op: "remove", context: "a" });
  });

  it.each([
    "",
    "[]",
    "null",
    "{}",
    '{"context":"a"}',
    '{"context":"","body":"x"}',
    '{"context":"a","body":1}',
    '{"context":"a","body":"x","op":"drop"}',
    '{"context":"a","body":"x","style":"loud"}',
  ])("is skipped with a reason when it is %j", (content) => {
    expect(parseAnnotationFile(content)).toHaveProperty("fault");
  });
});

describe("folded operations", () => {
  /** What the control plane does with each operation. */
  function apply(state: Map<string, { body: string; style: string }>, operations: readonly AnnotationOperation[]) {
    const kept = new Map(state);
    for (const operation of operations) {
      const before = kept.get(operation.context);
      if (operation.op === "remove") kept.delete(operation.context);
      else if (operation.op === "append" && before) {
        const gap = before.body === "" || before.body.endsWith("\n") ? "" : "\n";
        kept.set(operation.context, {
          body: before.body + gap + operation.body,
          style: operation.style ?? before.style,
        });
      } else kept.set(operation.context, { body: operation.body, style: operation.style ?? "default" });
    }
    return kept;
  }

  it("have the effect of all, one for each context", () => {
    const context = fc.constantFrom("a", "b");
    const style = fc.constantFrom("error" as const, "info" as const, undefined);
    const text = fc
      .record({
        op: fc.constantFrom("replace" as const, "append" as const),
        context,
        style,
        body: fc.string({ maxLength: 5 }),
      })
      .map(({ style: chosen, ...rest }): AnnotationOperation => ({ ...rest, ...(chosen ? { style: chosen } : {}) }));
    const operation = fc.oneof(text, fc.record({ op: fc.constant("remove" as const), context }));
    const operations = fc.array<AnnotationOperation>(operation, { maxLength: 12 });
    fc.assert(
      fc.property(operations, operations, (earlier, now) => {
        const state = apply(new Map(), earlier);
        const folded = foldOperations(now);
        expect(new Set(folded.map((one) => one.context)).size).toBe(folded.length);
        expect(apply(state, folded)).toEqual(apply(state, now));
      }),
    );
  });
});

describe("the body of a remark", () => {
  it("has title, place and the message as it was", () => {
    const remark = {
      style: "error" as const,
      title: "a*b",
      file: "a`b.ts",
      line: 3,
      column: 5,
      message: "```\n<b>*x*",
    };
    expect(remarkBody(remark)).toBe("**a\\*b** ``a`b.ts:3:5``\n\n````text\n```\n<b>*x*\n````");
    expect(remarkBody({ ...remark, title: null, file: null, message: "m" })).toBe("```text\nm\n```");
  });
});

describe("the annotations of a step", () => {
  const newStep = (budget = new AnnotationBudget(), position = 1) => {
    const masker = new Masker();
    masker.add("hunter2-secret");
    return new StepAnnotations({ position, attempt: 1, masker, budget });
  };

  it("come from files and from its log, without secrets and NULs", () => {
    const step = newStep();
    step.add([replace("default", "key hunter2-secret\0")]);
    step.commands.read("::error file=a.ts,line=1::hunter2%0A");
    expect(step.choose()).toEqual({
      operations: [
        replace("default", "key ***\uFFFD"),
        { op: "replace", context: "log-1.1-1", style: "error", body: "`a.ts:1`\n\n```text\nhunter2\n\n```" },
      ],
      faults: [],
    });
  });

  it("are bounded: fifty remarks, with one line that counts the others", () => {
    const step = newStep();
    for (let count = 0; count < 1_000; count += 1) step.commands.read("::warning::x");
    const { operations, faults } = step.choose();
    expect(operations).toHaveLength(50);
    expect(faults).toEqual([expect.stringMatching(/^950 further/)]);
  });

  it("share the bounds of their job, so that what goes too far costs nothing else", () => {
    const budget = new AnnotationBudget();
    const first = newStep(budget);
    first.add(Array.from({ length: 49 }, (_, index) => replace(`c${index}`, "x")));
    expect(first.choose().operations).toHaveLength(49);
    const second = newStep(budget, 2);
    second.add([replace("one", "x"), replace("two", "x"), replace("c0", "y"), { op: "remove", context: "c1" }]);
    const { operations, faults } = second.choose();
    expect(operations.map(({ context }) => context)).toEqual(["one", "c0", "c1"]);
    expect(faults).toEqual([expect.stringContaining("1 annotations are left out")]);
  });

  it("fit into one request", () => {
    const step = newStep();
    step.add([replace("a", "\n".repeat(400_000)), replace("b", "x".repeat(400_000)), replace("c", "x")]);
    const { operations, faults } = step.choose();
    expect(operations.map(({ context }) => context)).toEqual(["a", "c"]);
    expect(faults).toHaveLength(1);
  });
});
