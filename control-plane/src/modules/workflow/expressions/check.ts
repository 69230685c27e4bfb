import { isKey, MAX_KEY_CHARS } from "@shipfox/shared/api/scoped-values";
import type { DiagnosticCode, DiagnosticLog } from "../diagnostics.ts";
import { MAX_EXPRESSIONS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { Path } from "../yaml/source-map.ts";
import { parseExpression, type Reference } from "./cel.ts";
import { fillPointOf, isRoot, type Root, ROOTS, type Site, TYPED_ROOTS } from "./contexts.ts";
import type { Names } from "./names.ts";
import { type Piece, splitTemplate, type Template, type TemplateSegment } from "./template.ts";
import type { CelType } from "./types.ts";

/** Where a text stands. */
export interface Place {
  readonly path: Path;
  /** Where to point when that is not where `path` leads. */
  readonly pointAt?: Path;
  readonly site: Site;
  readonly names: Names;
  /** Keys of the jobs that the job needs directly. */
  readonly needs: readonly string[];
  /** Of a place that sees every job of the workflow, all of which `needs` has. */
  readonly seesAllJobs?: boolean;
  /** The value that is made here, such as `run.name`, and so cannot be read. */
  readonly selfReference?: string;
}

/** A faulty predicate is reported under the code of its field. */
export interface PredicatePlace extends Place {
  readonly code: DiagnosticCode;
  /** `needs` has a value only in a job that has some. */
  readonly readsNeeds?: boolean;
}

const ROOT_NAMES = Object.keys(ROOTS);

/** Reads the expressions of one workflow: what they say, what they name, of what type they are. Reports to the log. */
export class ExpressionChecker {
  readonly #log: DiagnosticLog;
  #count = 0;

  constructor(log: DiagnosticLog) {
    this.#log = log;
  }

  /** The text as it is filled later. Faulty expressions are left out. */
  template(text: string, place: Place): Template {
    return this.typedTemplate(text, place).template;
  }

  /** As `template`, with the type of the value when the text is exactly one expression whose type is known. */
  typedTemplate(text: string, place: Place): { template: Template; type: CelType } {
    const pieces = this.#pieces(text, place);
    const template: Template = [];
    let type: CelType = "string";
    for (const piece of pieces) {
      if (piece.kind === "literal") {
        template.push(piece);
        continue;
      }
      const read = this.#segment(piece.source, place);
      if (!read) continue;
      template.push(read.segment);
      if (pieces.length === 1) type = read.type;
    }
    return { template, type: type === "dyn" ? "string" : type };
  }

  /** The expression of a condition: text that is one `${{ }}` and nothing else, and is true or false. */
  condition(text: string, place: PredicatePlace): string {
    const trimmed = text.trim();
    const pieces = this.#pieces(trimmed, place);
    const [only] = pieces;
    if (pieces.length === 1 && only?.kind === "expression") return this.#predicate(only.source, place);
    const isBare = pieces.every((piece) => piece.kind === "literal");
    const suggestion = isBare ? `\${{ ${trimmed} }}` : undefined;
    const advice = isBare ? `; write \`${shorten(suggestion ?? "")}\`` : "";
    this.#refuse(place, place.code, `${place.site.what} is exactly one expression \`\${{ … }}\`${advice}`, suggestion);
    return trimmed;
  }

  /** A bare expression that is true or false. */
  predicate(text: string, place: PredicatePlace): string {
    const source = text.trim();
    if (source.includes("${{")) {
      const message = `${place.site.what} is a bare expression; write it without \`\${{\` and \`}}\``;
      this.#refuse(place, place.code, message);
      return source;
    }
    return this.#isCounted(place) ? this.#predicate(source, place) : source;
  }

  #predicate(source: string, place: PredicatePlace): string {
    const parsed = source === "" ? { ok: false as const, message: "it is empty" } : parseExpression(source);
    const shown = `\`${shorten(source)}\``;
    if (!parsed.ok) {
      this.#refuse(place, place.code, `${shown} cannot be read: ${parsed.message}`);
      return source;
    }
    if (!this.#areReadable(parsed.references, place, "predicate", shown)) return source;
    if (place.readsNeeds && place.needs.length === 0 && parsed.references.some(({ name }) => name === "needs")) {
      this.#refuse(place, place.code, `${shown} reads \`needs\`, but the job has none; add the key \`needs\``);
      return source;
    }
    const checked = place.names.check(source, place.site.stage, parsed.references);
    if (!checked.ok) this.#refuse(place, place.code, `${shown} does not fit together: ${checked.message}`);
    else if (checked.type !== "bool") {
      const found = checked.type === "dyn" ? "may be anything" : `is of type ${checked.type}`;
      const advice = checked.type === "dyn" ? `; compare it, such as \`${shorten(source)} == true\`` : "";
      this.#refuse(place, place.code, `${place.site.what} must be true or false, but ${shown} ${found}${advice}`);
    }
    return source;
  }

  #segment(
    source: string,
    place: Place,
  ): { segment: Exclude<TemplateSegment, { kind: "literal" }>; type: CelType } | undefined {
    const shown = `\`${shorten(source)}\``;
    if (source === "") {
      this.#refuse(
        place,
        "invalid-interpolation-template",
        "an expression `${{ }}` is empty; write `$${{` for a literal `${{`",
      );
      return undefined;
    }
    const parsed = parseExpression(source);
    if (!parsed.ok) {
      this.#refuse(place, "invalid-interpolation-template", `${shown} cannot be read: ${parsed.message}`);
      return undefined;
    }
    const { references } = parsed;
    if (!this.#areReadable(references, place, "fill", shown)) return undefined;
    const roots = new Set(references.map(({ name }) => name as Root));
    const areTyped = roots.size > 0 && [...roots].every((root) => TYPED_ROOTS.has(root));
    const [only] = references;
    if (only?.isWhole && only.name === "secrets") {
      return { segment: { kind: "secret", store: "local", key: only.keys.at(-1) ?? "" }, type: "string" };
    }
    let type: CelType = "dyn";
    if (areTyped || place.names.areAllKnown) {
      const checked = place.names.check(source, place.site.stage, references);
      if (!checked.ok) {
        const message = `${shown} does not fit together: ${checked.message}`;
        this.#refuse(place, "invalid-interpolation-expression", message);
        return undefined;
      }
      type = checked.type;
    }
    if (only?.isWhole && only.name === "vars" && only.keys.length === 1) {
      return { segment: { kind: "variable", key: only.keys[0] ?? "" }, type: "string" };
    }
    return { segment: { kind: "expression", source, fill: fillPointOf(roots) }, type };
  }

  /** Whether every name may be read there; the first fault of each name is reported. */
  #areReadable(references: readonly Reference[], place: Place, use: "fill" | "predicate", shown: string): boolean {
    const faulty = new Set<string>();
    for (const reference of references) {
      if (faulty.has(reference.name)) continue;
      const fault = faultOf(reference, place, use, shown);
      if (!fault) continue;
      faulty.add(reference.name);
      this.#refuse(place, fault.code, fault.message, fault.suggestion);
    }
    return faulty.size === 0;
  }

  #pieces(text: string, place: Place): Piece[] {
    const { pieces, isOpen } = splitTemplate(text);
    if (isOpen) {
      const message = "an expression `${{` has no end; close it with `}}`, or write `$${{` for a literal `${{`";
      this.#refuse(place, "invalid-interpolation-template", message);
    }
    return pieces.filter((piece) => piece.kind === "literal" || this.#isCounted(place));
  }

  /** False for what is beyond the limit, which is reported once, or beyond what can be reported: it is left unread. */
  #isCounted(place: Place): boolean {
    if (this.#log.isFull) return false;
    this.#count += 1;
    if (this.#count === MAX_EXPRESSIONS + 1) {
      const message = `the workflow has over ${MAX_EXPRESSIONS} expressions, those of aliased values counted in each place`;
      this.#refuse(place, "workflow-too-large", message);
    }
    return this.#count <= MAX_EXPRESSIONS;
  }

  #refuse(place: Place, code: DiagnosticCode, message: string, suggestion?: string): void {
    const { path, pointAt } = place;
    this.#log.add({ code, message, path, ...(pointAt ? { pointAt } : {}), suggestion });
  }
}

type Fault = { code: DiagnosticCode; message: string; suggestion?: string } | null;

function faultOf(reference: Reference, place: Place, use: "fill" | "predicate", shown: string): Fault {
  const { name } = reference;
  if (!isRoot(name)) return unknownName(name);
  if (name === "secrets") return secretFault(reference, place, use, shown);
  if (!place.site.roots.has(name)) {
    const code = use === "fill" ? "context-unavailable-at-fill-site" : "context-unavailable-at-predicate-site";
    const readable = [...place.site.roots].map((root) => `\`${root}\``).join(", ");
    return { code, message: `${place.site.what} cannot read \`${name}\`; it can read ${readable}` };
  }
  const [key] = reference.keys;
  if (place.selfReference !== undefined && place.selfReference === `${name}.${key}`) {
    const message = `${place.site.what} cannot read \`${place.selfReference}\`, which is what it makes`;
    return { code: "dynamic-name-self-reference", message };
  }
  if (name === "vars" && (key === undefined || !isKey(key))) return notAKey(shown, "vars.KEY");
  if (name === "matrix") return matrixFault(reference, place, use, shown);
  if (name !== "jobs") return null;
  if (key === undefined) {
    return { code: "computed-context-key", message: `${shown} must name a job behind a dot: \`jobs.<key>\`` };
  }
  if (place.needs.includes(key)) return null;
  if (place.seesAllJobs) {
    const suggestion = suggest(key, place.needs);
    const advice = suggestion ? `; did you mean "${suggestion}"?` : "";
    const message = `${shown} reads "${shorten(key)}", which is not a job of this workflow${advice}`;
    return { code: "unknown-job-dependency", message };
  }
  const advice = `add \`needs: ${shorten(key)}\` to the job that reads it`;
  return {
    code: "missing-job-needs-edge",
    message: `${shown} reads the job "${shorten(key)}", which is not one of the job's direct needs; ${advice}`,
  };
}

function matrixFault(
  { keys: [key] }: Reference,
  { names, site }: Place,
  use: "fill" | "predicate",
  shown: string,
): Fault {
  if (names.axes === null) {
    const code = use === "fill" ? "context-unavailable-at-fill-site" : "context-unavailable-at-predicate-site";
    return { code, message: `${site.what} cannot read \`matrix\` here: only a job that has the key \`matrix\` can` };
  }
  if (key === undefined)
    return { code: "computed-context-key", message: `${shown} must name an axis behind a dot: \`matrix.<axis>\`` };
  if (names.axes.has(key)) return null;
  const known = [...names.axes];
  const suggestion = suggest(key, known);
  const advice = suggestion ? `did you mean \`matrix.${suggestion}\`?` : `it has ${known.slice(0, 10).join(", ")}`;
  const message = `${shown} reads "${shorten(key)}", which the matrix of the job does not have; ${advice}`;
  return { code: "unknown-matrix-axis", message, ...(suggestion ? { suggestion: `matrix.${suggestion}` } : {}) };
}

function unknownName(name: string): Fault {
  const suggestion = suggest(name, ROOT_NAMES);
  const advice = suggestion ? `did you mean \`${suggestion}\`?` : `it may start with ${ROOT_NAMES.join(", ")}`;
  return {
    code: "unknown-interpolation-context",
    message: `\`${shorten(name)}\` is not a name that an expression can read; ${advice}`,
    ...(suggestion ? { suggestion } : {}),
  };
}

function secretFault({ keys, isWhole }: Reference, { site }: Place, use: "fill" | "predicate", shown: string): Fault {
  if (use === "predicate") {
    const message = `${site.what} cannot read a secret: only the runner knows secrets, and the server decides this`;
    return { code: "runner-context-in-server-predicate", message };
  }
  if (!site.roots.has("secrets")) {
    const message =
      "a secret cannot be used here, only in `run` and `env`; bind it to a variable in the `env` of a run step and use that";
    return { code: "runner-context-in-field", message };
  }
  const [first = "", second, ...more] = keys;
  const [store, key] = second === undefined ? ["local", first] : [first, second];
  if (!isKey(key) || (isWhole && more.length > 0)) return notAKey(shown, "secrets.KEY");
  if (!isWhole) {
    const message = `${shown} makes something of a secret; each secret stands alone in its own \`\${{ secrets.KEY }}\`, with any text around it`;
    return { code: "runner-context-not-bare", message };
  }
  if (store === "local") return null;
  const message = `${shown} names the secret store \`${shorten(store)}\`; the only one is \`local\`, which need not be named: \`secrets.${key}\``;
  return { code: "unknown-secret-store", message };
}

function notAKey(shown: string, expected: string): Fault {
  const rule = `upper-case letters, digits and \`_\`, at most ${MAX_KEY_CHARS} characters`;
  return { code: "computed-context-key", message: `${shown} must be \`${expected}\` with a literal key: ${rule}` };
}
