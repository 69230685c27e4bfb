import { posix } from "node:path";
import type { Sandbox } from "../sandbox/sandbox.ts";

/**
 * What is wrong with a step's `working_directory`, or null. The text may not lead out of the workspace; whether there is
 * such a folder is asked inside the sandbox, where links mean what they mean to the step and tell nothing about the host.
 */
export async function findFolderFault(
  sandbox: Sandbox,
  folder: string | undefined,
  signal: AbortSignal,
): Promise<string | null> {
  if (folder === undefined) return null;
  const inside = sandbox.workspaceInside;
  const relative = posix.relative(inside, posix.resolve(inside, folder));
  if (relative === ".." || relative.startsWith("../"))
    return `working_directory ${JSON.stringify(folder)} is outside of the workspace; give a folder below it.`;
  const entered = await sandbox.exec({
    script: ":",
    env: {},
    workingDirectory: folder,
    onOutput: () => {},
    signal,
    graceMs: 0,
  });
  return entered.kind === "stopped" || entered.exitCode === 0
    ? null
    : `working_directory ${JSON.stringify(folder)} does not exist in the workspace or cannot be entered.`;
}
