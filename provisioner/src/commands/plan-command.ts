import { ControlClient, NotRunningError } from "@shipfox/shared/operate/control-client";
import { explainFailure } from "@shipfox/shared/operate/control-failure";
import { EXIT_COMMAND_FAILED, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { type Cell, type Output, renderTable } from "@shipfox/shared/operate/output";
import { Budgets, SYSTEM_TIME } from "../budget/budgets.ts";
import type { ProvisionerConfig } from "../config.ts";
import { otherHolder } from "../control-plane/client.ts";
import { openClient } from "../control-plane/open-client.ts";
import { Fleet } from "../fleet.ts";
import { newHolder } from "../holder.ts";
import { ANSWER_LIMIT_MS, planAnswerSchema } from "../plan-now.ts";
import { type Plan, planOf } from "../plan.ts";
import { policy } from "../policy.ts";
import type { Situation } from "../policy-port.ts";
import { loadTemplates } from "../templates-source.ts";
import type { TemplatesFile } from "../templates/template.ts";
import { explainRefusedToken } from "./introduce.ts";
import { PROVISIONER } from "./status-command.ts";

export const PLAN_HELP = `Usage: shipfox-provisioner plan [--json] [settings]

Shows what would be created for the jobs that wait now, of which template, and for everything why or why not. Creates and
reserves nothing. Asks the provisioner that runs here; without one it takes the pool for a moment, with the same settings as start.

Examples:
  shipfox-provisioner plan
  shipfox-provisioner plan --json | jq '.groups[] | select(.left > 0)'

Exit status:
  0   shown
  1   it could not be found out; the words say why
  64  wrong command line
  78  the configuration, the templates file or the token is refused`;

const CALL_LIMIT_MS = 20_000;
const LET_GO_LIMIT_MS = 5_000;

export async function planCommand(config: ProvisionerConfig, json: boolean, output: Output): Promise<number> {
  try {
    const answer = (await askDaemon(config.stateDir)) ?? (await planAlone(config));
    if ("fault" in answer) {
      output.note(`shipfox-provisioner: ${answer.fault}`);
      return EXIT_COMMAND_FAILED;
    }
    output.print(json ? JSON.stringify(answer.plan, null, 2) : renderPlan(answer.plan, output));
    return EXIT_OK;
  } catch (error) {
    return explainFailure(error, "shipfox-provisioner", output);
  }
}

type Answer = { readonly plan: Plan } | { readonly fault: string };

/** Null when none runs here. */
async function askDaemon(stateDir: string): Promise<Answer | null> {
  try {
    return await new ControlClient(stateDir, PROVISIONER).ask("plan", planAnswerSchema, ANSWER_LIMIT_MS);
  } catch (error) {
    if (error instanceof NotRunningError) return null;
    throw error;
  }
}

async function planAlone(config: ProvisionerConfig): Promise<Answer> {
  const file = loadTemplates(config.templatesFile, config.apiUrl);
  const client = openClient(config, newHolder());
  const signal = AbortSignal.timeout(CALL_LIMIT_MS);
  try {
    const { runners } = await client
      .reconcile({ observed: [], confirmedEmpty: false }, signal)
      .catch((error: unknown) => Promise.reject(explainRefusedToken(error, config)));
    const situation = freshSituation(file, runners);
    const templates = policy.advertise(situation);
    return {
      plan: planOf(situation, await client.pollDemand({ templates, maxReservations: 0, waitSeconds: 0 }, signal), null),
    };
  } catch (error) {
    const holder = otherHolder(error);
    if (!holder) throw error;
    return { fault: `The provisioner on ${holder.host} works with this token: ask there for its plan.` };
  } finally {
    await client.letGo(AbortSignal.timeout(LET_GO_LIMIT_MS)).catch(() => {});
    client.close();
  }
}

/** As a provisioner finds it that starts now: what exists counts, what failed before is forgotten. */
function freshSituation(file: TemplatesFile, runners: Parameters<Fleet["replace"]>[0]): Situation {
  const [budgets, fleet] = [new Budgets(SYSTEM_TIME), new Fleet()];
  const now = SYSTEM_TIME.monotonic();
  fleet.replace(runners, now, 0);
  return {
    file,
    counts: fleet.counts(now),
    allowances: new Map(file.templates.map((template) => [template.key, budgets.allowance(template)])),
    creationsLeft: budgets.creationsLeft(file.limits),
    now: SYSTEM_TIME.now(),
  };
}

function renderPlan({ held, groups, pools }: Plan, output: Output): string {
  const parts: string[] = [];
  if (held !== null) parts.push(output.color("yellow", `nothing is created now: ${held}`));
  if (groups.length === 0) parts.push("no job waits");
  else
    parts.push(
      renderTable(output, ["JOBS FOR", "WAIT", "COVERED", "TEMPLATE", "CREATE", "WHY"], groups.flatMap(rowsOf)),
    );
  const rows = pools.map((one) => cells(one.template_key, one.idle, one.ready, one.create, one.why));
  if (pools.length > 0) parts.push(renderTable(output, ["IDLE POOL OF", "IDLE", "READY", "CREATE", "WHY"], rows));
  return parts.join("\n\n");
}

function rowsOf(group: Plan["groups"][number]): Cell[][] {
  const wants = [...group.labels, ...group.capabilities].join(", ");
  const create = group.templates.reduce((sum, one) => sum + one.create, 0);
  const color = group.left > 0 ? { color: "yellow" as const } : {};
  const head = cells(wants, group.queued, group.covered, "", create, group.why).map((cell) => ({ ...cell, ...color }));
  return [head, ...group.templates.map((one) => cells("", "", "", one.template_key, one.create, one.why))];
}

function cells(...values: readonly (string | number)[]): Cell[] {
  return values.map((value) => ({ text: `${value}` }));
}
