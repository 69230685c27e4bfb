import { mkdir } from "node:fs/promises";
import { join, posix } from "node:path";
import { type CheckoutConfig, checkoutConfigSchema, type CheckoutToken } from "@shipfox/shared/machine";
import { WorkspaceTree } from "../files/workspace-tree.ts";
import { fillWorkspace } from "../workspace/fill-workspace.ts";
import type { CheckoutResult } from "../workspace/git-checkout.ts";
import { removeTree } from "../sandbox/remove-tree.ts";
import { MoveIn } from "../workspace/move-in.ts";
import { publicUrl } from "../workspace/repository-access.ts";
import { workspaceFault } from "./checkout-fault.ts";
import { checkoutPath, repositoryName } from "./checkout-path.ts";
import { describeCheckout, requestToken } from "./checkout-token.ts";
import type { StepContext } from "./step-context.ts";
import { failed, type StepResult } from "./step-result.ts";

const REMOVE_MS = 60_000;

/** Puts a repository into the workspace of a job, which steps may have changed and may be changing. */
export async function runCheckoutStep(context: StepContext): Promise<StepResult> {
  const { log, sandbox, stop, overLimit } = context;
  const config = checkoutConfigSchema.safeParse(context.step.config);
  if (!config.success)
    return failed({
      message: `The step's configuration is not understood: ${config.error.message}`,
      reason: "config_unresolvable",
    });
  try {
    const token = await requestToken(context);
    const checkout = await checkOutStep(context, config.data.checkout, token);
    await context.files.getWaiting({ sandbox, log, signal: stop.signal });
    return { kind: "report", report: { status: "succeeded", exit_code: 0, checkout } };
  } catch (error) {
    if (!overLimit.aborted || stop.signal.aborted) return workspaceFault(error, context, "checkout_failed");
    const { message } = overLimit.reason as Error;
    log.line(`Error: ${message}`, "stderr");
    return failed({ message, reason: "disk_limit" });
  }
}

async function checkOutStep(
  context: StepContext,
  asked: CheckoutConfig["checkout"],
  token: CheckoutToken,
): Promise<CheckoutResult> {
  const { log, sandbox, checkouts } = context;
  const repository = publicUrl(token.repository_url);
  const parts = checkoutPath(asked.path || (checkouts.isEmpty ? "." : repositoryName(repository)));
  const path = parts.join("/");
  const { ref } = token;
  const inside = posix.join(sandbox.workspaceInside, path);
  log.group("Checkout", [...describeCheckout(token), `Folder: ${inside}`]);
  const known = asked.force ? null : checkouts.find({ path, repository, ref });
  if (known !== null && (await isThere(sandbox.workspace, parts))) {
    log.line(`It is there already, at ${known.commit}.`);
    return { repository, ref, commit: known.commit, path: inside };
  }
  const startedAt = performance.now();
  const commit = await bringIn(context, asked, { token, parts });
  checkouts.add({ path, repository, ref, commit });
  log.line(`Checked out ${commit} after ${Math.round(performance.now() - startedAt)} ms`);
  return { repository, ref, commit, path: inside };
}

/** git works in a folder that no step sees; only what it has finished comes into the workspace. */
async function bringIn(
  { sandbox, mirrors, stop, overLimit }: StepContext,
  asked: CheckoutConfig["checkout"],
  { token, parts }: { token: CheckoutToken; parts: readonly string[] },
): Promise<string> {
  const force = asked.force ?? false;
  const moveIn = new MoveIn(sandbox);
  await moveIn.check(parts, { force });
  const aside = await sandbox.createHiddenFolder();
  try {
    const folder = join(aside, "checkout");
    await mkdir(folder);
    const signal = AbortSignal.any([stop.signal, overLimit]);
    const { commit } = await fillWorkspace({ workspace: folder, mirrors, token, asked, signal });
    signal.throwIfAborted();
    await moveIn.put(folder, parts, { force });
    return commit;
  } finally {
    await removeTree(aside, REMOVE_MS);
  }
}

/** Steps may have removed it since. */
async function isThere(workspace: string, parts: readonly string[]): Promise<boolean> {
  const tree = await WorkspaceTree.open(workspace);
  try {
    return (await tree.descend([...parts, ".git"])).missing.length === 0;
  } catch {
    return false;
  } finally {
    await tree.close();
  }
}
