import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach } from "vitest";
import type { Child } from "./child.ts";

const SHOWN_OUTPUT_CHARS = 12_000;
const CLEAN_UP_LIMIT_MS = 120_000;

/**
 * All that the tests of one file start and make. It is taken down after the last test, newest first; when a test fails,
 * what the processes printed is shown.
 */
export class Stage {
  readonly #children: Child[] = [];
  /** Children that had ended when the current test began: what they printed does not explain its failure. */
  #over = new Set<Child>();
  readonly #cleanUps: (() => Promise<unknown>)[] = [];

  addChild<C extends Child>(child: C): C {
    this.#children.push(child);
    this.onEnd(() => child.stop());
    return child;
  }

  /** Run at the end, those added last first. */
  onEnd(cleanUp: () => Promise<unknown>): void {
    this.#cleanUps.push(cleanUp);
  }

  async folder(name: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), `shipfox-e2e-${name}-`));
    this.onEnd(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  testBegins(): void {
    this.#over = new Set(this.#children.filter(({ running }) => !running));
  }

  printOutputs(): void {
    for (const child of this.#children.filter((candidate) => !this.#over.has(candidate))) {
      console.error(`--- ${child.name} (process ${child.pid}):\n${child.output.slice(-SHOWN_OUTPUT_CHARS)}`);
    }
  }

  async end(): Promise<void> {
    const failures: unknown[] = [];
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) {
      await cleanUp().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, "the tests' processes and files were not all removed");
  }
}

/** A stage for the tests of the calling file. */
export function useStage(): Stage {
  const stage = new Stage();
  beforeEach(({ onTestFailed }) => {
    stage.testBegins();
    onTestFailed(() => stage.printOutputs());
  });
  afterAll(() => stage.end(), CLEAN_UP_LIMIT_MS);
  return stage;
}
