import {
  type CreateRequest,
  type MachineState,
  type ObservedMachine,
  type Provider,
  type ProviderError,
} from "./driver.ts";

interface Machine extends ObservedMachine {
  state: MachineState;
}

/** A provider in this process that misbehaves on command. */
export class SimulatedProvider implements Provider {
  readonly machines = new Map<string, Machine>();
  readonly created: CreateRequest<unknown>[] = [];
  readonly deleted: string[] = [];
  readonly listLagMs = 0;
  /** Thrown by the next creations, one each; with `mayHaveHappened` the machine is made all the same. */
  readonly creationFaults: ProviderError[] = [];
  listFault: ProviderError | null = null;
  listsNothing = false;
  consoleText: string | null = null;
  onCreate: (request: CreateRequest<unknown>) => void = () => {};
  /** Waited for by each deletion. */
  onDelete: () => Promise<void> = async () => {};

  async check(): Promise<readonly string[]> {
    return [];
  }

  async create(request: CreateRequest<unknown>): Promise<{ providerId: string }> {
    const fault = this.creationFaults.shift();
    if (fault && !fault.mayHaveHappened) throw fault;
    const providerId = `m-${request.tags.instance}`;
    if (!this.machines.has(providerId)) {
      this.created.push(request);
      this.machines.set(providerId, { providerId, tags: request.tags, state: "running" });
    }
    if (fault) throw fault;
    this.onCreate(request);
    return { providerId };
  }

  async list(): Promise<readonly ObservedMachine[]> {
    if (this.listFault) throw this.listFault;
    return this.listsNothing ? [] : [...this.machines.values()].map((machine) => ({ ...machine }));
  }

  async delete({ providerId }: { providerId: string }): Promise<void> {
    await this.onDelete();
    this.machines.delete(providerId);
    this.deleted.push(providerId);
  }

  async readConsole(): Promise<string | null> {
    return this.consoleText;
  }

  async close(): Promise<void> {}
}
