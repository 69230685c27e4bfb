import {
  CLAUDE_PROVIDER,
  knownModels,
  mayHaveModel,
  SUPPORTED_PROVIDERS,
  THINKING_OF,
  TOOLS_OF,
  UNSUPPORTED_PROVIDERS,
} from "../agent-catalog.ts";
import type { DiagnosticCode, DiagnosticLog } from "../diagnostics.ts";
import type { AgentStepDocument } from "../document/document.ts";
import { hasExpression, unescapeLiteral } from "../expressions/template.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { Path } from "../yaml/source-map.ts";

/** Refuses settings of an agent that no harness takes together. What has expressions is checked when a run starts. */
export function checkAgent(step: AgentStepDocument, path: Path, log: DiagnosticLog): void {
  const refuse = (key: string, code: DiagnosticCode, message: string, suggestion?: string) =>
    log.add({ code, message, path: [...path, ...key.split(".").map(indexOrKey)], suggestion });
  const { harness } = step;
  const provider = literal(step.provider);
  const model = literal(step.model);
  const thinking = literal(step.thinking);

  checkTools(step, refuse);
  if (harness && thinking !== undefined && !THINKING_OF[harness].includes(thinking)) {
    const message = `the harness ${harness} has no thinking level \`${thinking}\`; it has ${THINKING_OF[harness].join(", ")}`;
    refuse("thinking", "harness-thinking-incompatible", message);
  }
  for (const [index, { include }] of (step.integrations ?? []).entries()) {
    const star = include.indexOf("*");
    if (star === -1) continue;
    const message =
      "`*` alone would hand over every tool of the connection; name tools or families, such as `issue_read.*`";
    refuse(`integrations.${index}.include.${star}`, "invalid-value", message);
  }
  if (provider === undefined) return;
  const isKnown = SUPPORTED_PROVIDERS.includes(provider);
  if (UNSUPPORTED_PROVIDERS.includes(provider)) {
    refuse(
      "provider",
      "invalid-provider",
      `the provider ${provider} needs a cloud identity, which is not supported yet`,
    );
  } else if (harness === "claude" && !isKnown) {
    const message = `the harness claude calls the provider ${CLAUDE_PROVIDER} only; "${shorten(provider)}" is not known`;
    refuse("provider", "invalid-provider", message, CLAUDE_PROVIDER);
  } else if (harness === "claude" && provider !== CLAUDE_PROVIDER) {
    const message = `the harness claude calls the provider ${CLAUDE_PROVIDER} only; take the harness pi for ${provider}`;
    refuse("provider", "harness-provider-incompatible", message);
  } else if (harness && isKnown && model !== undefined && !mayHaveModel(harness, provider, model)) {
    const models = knownModels(harness, provider);
    const advice = models ? `; it has ${models.join(", ")}` : "";
    const message = `the provider ${provider} has no model "${shorten(model)}" for the harness ${harness}${advice}`;
    refuse("model", "invalid-model", message, models ? suggest(model, models) : undefined);
  }
}

function checkTools(
  { harness, tools = [] }: AgentStepDocument,
  refuse: (key: string, code: DiagnosticCode, message: string, suggestion?: string) => void,
): void {
  if (tools.length === 0) return;
  if (!harness) {
    return refuse(
      "tools",
      "missing-harness-for-tools",
      "tools are named differently by each harness; say `harness: pi` or `harness: claude`",
    );
  }
  for (const [index, tool] of tools.entries()) {
    if (TOOLS_OF[harness].includes(tool)) continue;
    const message = `the harness ${harness} has no tool "${shorten(tool)}"; it has ${TOOLS_OF[harness].join(", ")}`;
    refuse(`tools.${index}`, "harness-tool-incompatible", message, suggest(tool, TOOLS_OF[harness]));
  }
}

/** Undefined for what is absent or known later. */
function literal(text: string | undefined): string | undefined {
  return text === undefined || hasExpression(text) ? undefined : unescapeLiteral(text);
}

function indexOrKey(segment: string): string | number {
  return /^\d+$/.test(segment) ? Number(segment) : segment;
}
