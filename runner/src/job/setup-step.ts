import { arch, release, type } from "node:os";
import { type CheckoutToken, type SetupConfig, setupConfigSchema } from "@shipfox/shared/machine";
import { VERSION } from "@shipfox/shared/version";
import { fillWorkspace } from "../workspace/fill-workspace.ts";
import type { CheckoutResult } from "../workspace/git-checkout.ts";
import { publicUrl } from "../workspace/repository-access.ts";
import { workspaceFault } from "./checkout-fault.ts";
import { describeCheckout, requestToken } from "./checkout-token.ts";
import type { StepContext } from "./step-context.ts";
import { failed, type StepResult } from "./step-result.ts";

/** Makes the place in which the job runs and fills its workspace. Nothing of the user's runs here. */
export async function runSetupStep(context: StepContext): Promise<StepResult> {
  const { log, stop } = context;
  const config = setupConfigSchema.safeParse(context.step.config);
  if (!config.success)
    return failed({
      message: `The setup step's configuration is not understood: ${config.error.message}`,
      reason: "config_unresolvable",
    });
  describeJob(context, config.data);
  const refusal = await context.jobHooks.before(log, stop.signal);
  if (stop.signal.aborted) return { kind: "stopped" };
  if (refusal !== null) {
    log.line(`Error: ${refusal}`, "stderr");
    return { kind: "hand_back", reason: "hook_failed", why: refusal };
  }
  const source = config.data.checkout === undefined ? null : prepareSource(context);
  // Awaited below; a sandbox that fails first must not leave this rejection unheard.
  source?.catch(() => {});
  try {
    await prepareWorkspace(context);
    if (source === null) log.line("Checkout skipped: the job asks for none, or its first step makes it.");
    const checkout =
      source && (await checkOutRepository(context, await source, config.data.checkout as CheckoutSettings));
    await context.files.get(config.data, { sandbox: context.sandbox, log, signal: stop.signal });
    return { kind: "report", report: { status: "succeeded", exit_code: 0, ...(checkout ? { checkout } : {}) } };
  } catch (error) {
    return workspaceFault(error, context, "workspace_prep_failed");
  }
}

function describeJob(context: StepContext, config: SetupConfig): void {
  const { claim, log } = context;
  const job = claim.job;
  const about = job
    ? [
        `Workflow: ${job.workflow_name}, run ${job.run_number}, attempt ${job.run_attempt}`,
        `Project: ${job.project_name}`,
        `Job: ${job.job_key}`,
      ]
    : [];
  log.group("Job details", [
    ...about,
    `Job id: ${claim.job_id}`,
    `Execution: ${claim.job_execution_id}`,
    `Image: ${config.image ?? "the runner's own"}`,
    ...(config.network === "none" ? ["Network: none"] : []),
  ]);
  log.group("Runner environment", [
    `Runner: ${context.runnerName}, version ${VERSION}`,
    `Labels: ${context.labels.join(", ")}`,
    `Host: ${type()} ${release()} ${arch()}, Node ${process.versions.node}`,
  ]);
}

async function prepareWorkspace({ log, sandbox, openSandbox }: StepContext): Promise<void> {
  const startedAt = performance.now();
  await openSandbox();
  log.group("Prepare workspace", [
    `Workspace: ${sandbox.workspaceInside}`,
    `Ready after ${Math.round(performance.now() - startedAt)} ms`,
  ]);
}

/** Asks for the repository's address and credential, and brings the commit near while the sandbox is still opening. */
async function prepareSource(context: StepContext): Promise<Source> {
  const token = await requestToken(context);
  const startedAt = performance.now();
  const pinned = await context.mirrors.prefetch(token, context.stop.signal);
  return { asked: token, token: pinned, fetchMs: performance.now() - startedAt };
}

interface Source {
  /** As the control plane gave it. */
  readonly asked: CheckoutToken;
  /** The same, at the commit where a branch is now. */
  readonly token: CheckoutToken;
  /** What bringing the commit near took, while the sandbox was opening. */
  readonly fetchMs: number;
}

type CheckoutSettings = NonNullable<SetupConfig["checkout"]>;

async function checkOutRepository(
  { log, sandbox, mirrors, stop, checkouts }: StepContext,
  { asked: { ref }, token, fetchMs }: Source,
  settings: CheckoutSettings,
): Promise<CheckoutResult> {
  const repository = publicUrl(token.repository_url);
  log.group("Checkout", describeCheckout({ ...token, ref }));
  const startedAt = performance.now() - fetchMs;
  const { commit, submodules } = await fillWorkspace({
    workspace: sandbox.workspace,
    mirrors,
    token,
    asked: settings,
    signal: stop.signal,
  });
  if (submodules.length > 0)
    log.group(
      "Submodules",
      submodules.map(({ path, commit: at }) => `${path}: ${at}`),
    );
  await sandbox.handOver(sandbox.workspace);
  checkouts.add({ path: "", repository, ref, commit });
  log.line(`Checked out ${commit} after ${Math.round(performance.now() - startedAt)} ms`);
  return { repository, ref, commit, path: sandbox.workspaceInside };
}
