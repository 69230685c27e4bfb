import { UsageError } from "./options.ts";

export interface Workflow {
  readonly id: string;
  readonly name: string;
  readonly config_path: string | null;
  readonly manual_trigger: { name: string } | null;
}

/** The named workflow (name, path or file name), or the only one that can be started by hand. Throws UsageError. */
export function chooseWorkflow(workflows: readonly Workflow[], wanted: string | null): Workflow {
  const byHand = workflows.filter((workflow) => workflow.manual_trigger !== null);
  const found = wanted === null ? byHand : byHand.filter((workflow) => isNamed(workflow, wanted));
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  const names = byHand.map(({ name }) => JSON.stringify(name)).join(", ");
  if (byHand.length === 0) {
    throw new UsageError("The repository has no workflow in .shipfox/workflows/ with a manual trigger.");
  }
  if (wanted === null) throw new UsageError(`Which workflow? Choose with --workflow one of: ${names}.`);
  throw new UsageError(
    `There is ${found.length === 0 ? "no" : "more than one"} workflow ${JSON.stringify(wanted)}; there is: ${names}.`,
  );
}

function isNamed({ id, name, config_path }: Workflow, wanted: string): boolean {
  const file = config_path?.split("/").at(-1);
  return [id, name, config_path, file, file?.replace(/\.ya?ml$/, "")].includes(wanted);
}
