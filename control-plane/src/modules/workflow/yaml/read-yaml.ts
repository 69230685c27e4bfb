import { isMap, LineCounter, parseDocument } from "yaml";
import { type Diagnostic, MAX_DIAGNOSTICS } from "../diagnostics.ts";
import { MAX_ALIASES, MAX_EXPANDED_CHARACTERS, MAX_WORKFLOW_CHARACTERS } from "../limits.ts";
import { checkNodes, type NodeFault, TOO_DEEP } from "./check-nodes.ts";
import { SourceMap } from "./source-map.ts";

export type YamlResult =
  | { ok: true; value: Record<string, unknown>; source: SourceMap }
  | { ok: false; diagnostics: Diagnostic[] };

const START_OF_FILE = 0;

/** First layer: text to one plain mapping, with the way back to the text. Never throws. */
export function readYaml(text: string): YamlResult {
  const lines = new LineCounter();
  const refuse = (faults: NodeFault[]): YamlResult => ({ ok: false, diagnostics: toDiagnostics(faults, lines) });
  if (text.length > MAX_WORKFLOW_CHARACTERS) {
    const message = `the workflow has ${text.length} characters; at most ${MAX_WORKFLOW_CHARACTERS} are allowed`;
    return refuse([{ message, offset: START_OF_FILE }]);
  }

  const document = parseDocument(text, {
    lineCounter: lines,
    merge: true,
    stringKeys: true,
    prettyErrors: false,
    // The library compares every key with every other; checkNodes does it in one pass.
    uniqueKeys: false,
    // The library reports a second document only when it is allowed to report errors at all.
    logLevel: "error",
  });
  // After the parser gave up on the nesting, its other complaints are consequences.
  const tooDeep = document.errors.filter((error) => error.code === "RESOURCE_EXHAUSTION").slice(0, 1);
  const complaints = tooDeep.length > 0 ? tooDeep : [...document.errors, ...document.warnings];
  if (complaints.length > 0) {
    return refuse(complaints.map((error) => ({ message: plainMessage(error), offset: error.pos[0] })));
  }
  const root = document.contents;
  if (!isMap(root)) {
    const found = root === null ? "the file is empty" : "the file is a list or a single value";
    const message = `${found}; a workflow is a mapping that starts with \`name:\` and \`jobs:\``;
    return refuse([{ message, offset: root?.range?.[0] ?? START_OF_FILE }]);
  }
  const { faults, aliases } = checkNodes(root);
  if (faults.length > 0) return refuse(faults);

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    // What is left after checkNodes is the library's own guard against aliases of aliases.
    const message = `the aliases stand for too much: at most ${MAX_ALIASES}, those inside aliased values included`;
    return refuse([{ message, offset: START_OF_FILE }]);
  }
  if (expandedCharacters(value) > MAX_EXPANDED_CHARACTERS) {
    const message = `with its aliases expanded the workflow exceeds ${MAX_EXPANDED_CHARACTERS} characters`;
    return refuse([{ message, offset: START_OF_FILE }]);
  }
  const source = new SourceMap({ text, root, lines, aliases });
  return { ok: true, value: value as Record<string, unknown>, source };
}

function plainMessage(error: { code: string; message: string }): string {
  if (error.code === "MULTIPLE_DOCS") return "the file holds more than one YAML document; keep one workflow per file";
  if (error.code === "RESOURCE_EXHAUSTION") return TOO_DEEP;
  if (error.code === "NON_STRING_KEY") return "keys are plain text; an alias, a list or a mapping cannot be a key";
  return error.message;
}

function toDiagnostics(faults: NodeFault[], lines: LineCounter): Diagnostic[] {
  return faults.slice(0, MAX_DIAGNOSTICS).map(({ message, offset }) => {
    const position = lines.linePos(offset);
    const line = Math.max(1, position.line);
    const column = Math.max(1, position.col);
    return { code: "invalid-workflow-yaml", message, path: `${line}:${column}`, line, column };
  });
}

/** Rough JSON size of a value in which aliases share objects; stops counting soon after the limit. */
function expandedCharacters(value: unknown): number {
  const pending: unknown[] = [value];
  let characters = 0;
  while (pending.length > 0 && characters <= MAX_EXPANDED_CHARACTERS) {
    const current = pending.pop();
    characters += typeof current === "string" ? current.length + 1 : 1;
    if (typeof current !== "object" || current === null) continue;
    for (const [key, child] of Object.entries(current)) {
      characters += key.length;
      pending.push(child);
    }
  }
  return characters;
}
