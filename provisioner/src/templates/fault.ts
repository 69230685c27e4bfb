import type { Document, LineCounter } from "yaml";
import { isNode } from "yaml";

export type Path = readonly (string | number)[];

/** What is wrong in a templates file, with its place; line and column count from 1. */
export interface TemplatesFault {
  /** Such as `templates.small.labels[0]`; `(root)` for the whole file. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Says where in the text a path is: at the node itself, or at the nearest one around it that was written. */
export class Locator {
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  has(path: Path): boolean {
    return this.#document.hasIn(path);
  }

  fault(path: Path, message: string): TemplatesFault {
    for (let length = path.length; ; length -= 1) {
      const node = length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true);
      const offset = isNode(node) ? (node.range?.[0] ?? null) : null;
      if (offset !== null || length === 0) {
        const { line, col } = this.#lines.linePos(offset ?? 0);
        return { path: written(path), line: Math.max(1, line), column: Math.max(1, col), message };
      }
    }
  }
}

export function written(path: Path): string {
  if (path.length === 0) return "(root)";
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${part}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join("");
}
