import { annotationContext } from "@shipfox/shared/api/annotations";
import type { AnnotationOperation } from "@shipfox/shared/machine";
import { LogCommands, type LogRemark } from "../logs/commands.ts";
import type { Masker } from "../logs/masking.ts";
import type { AnnotationBudget, ChosenOperations } from "./annotation-budget.ts";
import { foldOperations, remarkBody } from "./annotations.ts";

const MAX_REMARKS = 50;

/** Gathers what one attempt of a step says beside its log: files it wrote, and `::error::`, `::warning::` and `::notice::` lines. */
export class StepAnnotations {
  /** What the log of the step is read with. */
  readonly commands = new LogCommands((remark) => this.keep(remark));
  private readonly prefix: string;
  private readonly masker: Masker;
  private readonly budget: AnnotationBudget;
  private readonly fromFiles: AnnotationOperation[] = [];
  private readonly remarks: LogRemark[] = [];
  private remarksLeftOut = 0;

  constructor(options: { position: number; attempt: number; masker: Masker; budget: AnnotationBudget }) {
    this.prefix = `log-${options.position}.${options.attempt}-`;
    this.masker = options.masker;
    this.budget = options.budget;
  }

  add(operations: readonly AnnotationOperation[]): void {
    this.fromFiles.push(...operations);
  }

  /** What to send, masked, folded and within the limits. Once, when all output of the step was read. */
  choose(): ChosenOperations {
    const remarks = this.remarks.map(
      (remark, index): AnnotationOperation => ({
        op: "replace",
        context: `${this.prefix}${index + 1}`,
        style: remark.style,
        body: remarkBody(remark),
      }),
    );
    const masked = [...this.fromFiles, ...remarks].map((operation) => this.mask(operation));
    const usable = masked.filter(({ context }) => annotationContext.safeParse(context).success);
    const { operations, faults } = this.budget.choose(foldOperations(usable));
    if (usable.length < masked.length)
      faults.push(`${masked.length - usable.length} annotations are left out: a context may not hold a secret.`);
    if (this.remarksLeftOut > 0)
      faults.push(
        `${this.remarksLeftOut} further ::error::, ::warning:: and ::notice:: lines made no annotation: a step may have ${MAX_REMARKS}.`,
      );
    return { operations, faults };
  }

  private keep(remark: LogRemark): void {
    if (this.remarks.length < MAX_REMARKS) this.remarks.push(remark);
    else this.remarksLeftOut += 1;
  }

  private mask(operation: AnnotationOperation): AnnotationOperation {
    const context = this.clean(operation.context);
    return operation.op === "remove"
      ? { ...operation, context }
      : { ...operation, context, body: this.clean(operation.body) };
  }

  /** Neither a NUL nor half a character can be stored. */
  private clean(text: string): string {
    return this.masker.mask(text).replaceAll("\0", "\uFFFD").toWellFormed();
  }
}
