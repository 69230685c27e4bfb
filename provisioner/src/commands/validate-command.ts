import { ConfigError, UsageError } from "@shipfox/shared/config";
import { nearest } from "@shipfox/shared/nearest";
import { EXIT_COMMAND_FAILED, EXIT_INTERRUPTED, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { formatSeconds, oneLine, type Output } from "@shipfox/shared/operate/output";
import { ProgressLine } from "@shipfox/shared/operate/progress-line";
import type { ProvisionerConfig } from "../config.ts";
import { otherHolder, type Provisioner } from "../control-plane/client.ts";
import { openClient } from "../control-plane/open-client.ts";
import type { Provider } from "../drivers/driver.ts";
import { holderOf, newHolder } from "../holder.ts";
import { openProvider } from "../open-provider.ts";
import type { ProbeResult } from "../probe/probe-template.ts";
import { probeTemplates } from "../probe/probe-templates.ts";
import type { ProbeObserver } from "../probe/probe-world.ts";
import { takeStateDir } from "../state-dir.ts";
import { countTemplates, loadTemplates } from "../templates-source.ts";
import type { Template, TemplatesFile } from "../templates/template.ts";
import { introduce } from "./introduce.ts";

export const VALIDATE_HELP = `Usage: shipfox-provisioner validate [--offline | --no-machine | --template NAME] [settings]

Checks the templates file, asks the provider whether it is ready, and the control plane whether it takes the token. Then starts one machine of each template, waits until its
runner has registered at runner_api_url, and removes the machine again, also after a failure and after Ctrl-C. These machines
take no job. Takes the same settings as start; no provisioner may work with the token or the state folder meanwhile.

  --template NAME  starts a machine of this template alone
  --no-machine     starts none
  --offline        checks the file alone and asks nobody

Examples:
  shipfox-provisioner validate --templates-file templates.yaml
  shipfox-provisioner validate --template large
  shipfox-provisioner validate --offline --templates-file templates.yaml

Exit status:
  0    all is well
  1    a check failed, or a machine was left behind; the words say which
  64   wrong command line
  78   the configuration, the templates file or the token is refused
  130  Ctrl-C; the machines are removed`;

export interface ValidateExtent {
  readonly depth: "file" | "provider" | "machines";
  /** The one whose machine is started; null for all. */
  readonly template: string | null;
}

/** Throws UsageError when the options exclude each other. */
export function parseExtent(options: Readonly<Record<string, string | boolean>>): ValidateExtent {
  const chosen = ["offline", "no-machine", "template"].filter((name) => options[name] !== undefined);
  if (chosen.length > 1) throw new UsageError(`${chosen.map((name) => `--${name}`).join(" and ")} do not go together`);
  const { template } = options;
  if (typeof template === "string") return { depth: "machines", template };
  if (options["offline"] === true) return { depth: "file", template: null };
  return { depth: options["no-machine"] === true ? "provider" : "machines", template: null };
}

const CHECK_LIMIT_MS = 60_000;
const LET_GO_LIMIT_MS = 5_000;
const SHOWN_CONSOLE_LINES = 20;

export async function validateCommand(
  config: ProvisionerConfig,
  extent: ValidateExtent,
  interrupted: AbortSignal,
  output: Output,
): Promise<number> {
  const file = loadTemplates(config.templatesFile, config.apiUrl);
  const chosen = chooseTemplates(file, extent.template, config.templatesFile);
  output.print(`${config.templatesFile}: ${countTemplates(file)}, valid`);
  if (extent.depth === "file") return EXIT_OK;
  if (extent.depth === "machines") takeStateDir(config.stateDir);
  const provider = await openProvider(config, file);
  try {
    const machines = file.templates.map(({ machine }) => machine);
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(CHECK_LIMIT_MS)]);
    const faults = await provider.check(machines, signal);
    for (const fault of faults) output.note(fault);
    if (faults.length > 0) return EXIT_COMMAND_FAILED;
    output.print(`${file.provider.kind}: ready`);
    if (extent.depth === "provider") {
      await askControlPlane(config, signal, output);
      return EXIT_OK;
    }
    return await proveMachines(config, { file, chosen, provider }, interrupted, output);
  } catch (error) {
    if (interrupted.aborted) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    await provider.close();
  }
}

/** Takes the pool from nobody: a provisioner may work with the token meanwhile. */
async function askControlPlane(config: ProvisionerConfig, signal: AbortSignal, output: Output): Promise<void> {
  const controlPlane = openClient(config, newHolder());
  try {
    showIntroduction(config, await introduce(controlPlane, config, signal), output);
  } finally {
    controlPlane.close();
  }
}

function showIntroduction({ apiUrl }: ProvisionerConfig, { id, name }: Provisioner, output: Output): void {
  output.print(`${apiUrl}: takes the token of ${oneLine(name ?? id)}`);
}

async function proveMachines(
  config: ProvisionerConfig,
  what: { readonly file: TemplatesFile; readonly chosen: readonly Template[]; readonly provider: Provider },
  interrupted: AbortSignal,
  output: Output,
): Promise<number> {
  const { file, chosen, provider } = what;
  const controlPlane = openClient(config, holderOf(config.stateDir));
  const shown = new ShownProgress(output, chosen);
  try {
    const me = await introduce(controlPlane, config, interrupted);
    showIntroduction(config, me, output);
    const results = await probeTemplates(
      {
        controlPlane,
        provider,
        owner: { controller: me.id, pool: file.pool },
        providerKind: file.provider.kind,
        maxInstances: file.limits.maxInstances,
        observer: shown,
      },
      chosen,
      interrupted,
    );
    shown.finish();
    const isWell = results.filter((result) => !showFailure(result, output)).length === results.length;
    if (interrupted.aborted) return EXIT_INTERRUPTED;
    return isWell ? EXIT_OK : EXIT_COMMAND_FAILED;
  } catch (error) {
    const holder = otherHolder(error);
    if (!holder) throw error;
    output.note(
      `The provisioner on ${holder.host} works with this token: stop it first, or leave the machines out with --no-machine.`,
    );
    return EXIT_COMMAND_FAILED;
  } finally {
    await controlPlane.letGo(AbortSignal.timeout(LET_GO_LIMIT_MS)).catch(() => {});
    controlPlane.close();
  }
}

/** Whether there was anything to show. */
function showFailure({ templateKey, fault, console, leftBehind }: ProbeResult, output: Output): boolean {
  if (fault !== null) output.note(`${templateKey}: ${oneLine(fault)}.`);
  if (console !== null) {
    const lines = console.trimEnd().split("\n").slice(-SHOWN_CONSOLE_LINES);
    output.note(`${templateKey}: the last of its console:\n${lines.map((line) => `  | ${oneLine(line)}`).join("\n")}`);
  }
  if (leftBehind !== null) output.note(`${templateKey}: ${oneLine(leftBehind)}.`);
  return fault !== null || leftBehind !== null;
}

/** What happens stays; who is waited for is written over on a terminal. */
class ShownProgress implements ProbeObserver {
  private readonly line: ProgressLine;
  private readonly limits: ReadonlyMap<string, number>;
  private readonly waiting = new Map<string, number>();

  constructor(output: Output, templates: readonly Template[]) {
    this.line = new ProgressLine(output);
    this.limits = new Map(templates.map(({ key, bootTimeoutMs }) => [key, bootTimeoutMs]));
  }

  said(templateKey: string, text: string): void {
    this.waiting.delete(templateKey);
    this.line.say(`${templateKey}: ${oneLine(text)}`);
  }

  waits(templateKey: string, forMs: number): void {
    this.waiting.set(templateKey, forMs);
    const seconds = (ms: number) => formatSeconds(ms / 1_000);
    const waits = [...this.waiting].map(
      ([key, ms]) => `${key} ${seconds(ms)} of ${seconds(this.limits.get(key) ?? 0)}`,
    );
    this.line.show(`waiting for runners: ${waits.join(", ")}`, [...this.waiting.keys()].join());
  }

  finish(): void {
    this.line.finish();
  }
}

function chooseTemplates({ templates }: TemplatesFile, key: string | null, path: string): readonly Template[] {
  if (key === null) return templates;
  const chosen = templates.filter((template) => template.key === key);
  if (chosen.length > 0) return chosen;
  const near = nearest(
    key,
    templates.map((template) => template.key),
  );
  throw new ConfigError(`${path} has no template "${key}"${near === null ? "" : `; did you mean "${near}"?`}`);
}
