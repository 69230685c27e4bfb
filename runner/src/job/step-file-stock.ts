import type { Sandbox } from "../sandbox/sandbox.ts";
import { StepFiles } from "./step-files.ts";

/** Makes the files of the next step while the one before runs, so that no step waits for them. */
export class StepFileStock {
  private readonly sandbox: Sandbox;
  private count = 0;
  private ready: Promise<StepFiles> | null = null;

  constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
  }

  /** While the sandbox is open. What fails is told by `take`. */
  prepare(): void {
    this.ready ??= this.make();
    this.ready.catch(() => {});
  }

  /** Rejects with SandboxError. */
  take(): Promise<StepFiles> {
    const files = this.ready ?? this.make();
    this.ready = null;
    return files;
  }

  /** Settles when nothing is being made any more; before the sandbox is closed. */
  async idle(): Promise<void> {
    await this.ready?.catch(() => {});
  }

  private make(): Promise<StepFiles> {
    this.count += 1;
    return StepFiles.make(this.sandbox, this.count);
  }
}
