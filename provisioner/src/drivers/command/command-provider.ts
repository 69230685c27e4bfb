import {
  type CreateRequest,
  type InstanceTags,
  MAX_CONSOLE_CHARS,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "../driver.ts";
import { sameTags } from "../tag-labels.ts";
import {
  type CommandMachine,
  checkAnswerSchema,
  consoleAnswerSchema,
  createAnswerSchema,
  deleteAnswerSchema,
  type ListedMachine,
  listAnswerSchema,
  observe,
} from "./contract.ts";
import type { Program } from "./program.ts";

/** Keeps nothing itself. What a program could get wrong to our users' loss, whose machines they are, is looked at here too. */
export class CommandProvider implements Provider<CommandMachine> {
  readonly listLagMs: number;
  private readonly program: Program;
  private readonly timeLimitMs: number;

  constructor(program: Program, times: { timeLimitMs: number; listLagMs: number }) {
    this.program = program;
    this.listLagMs = times.listLagMs;
    this.timeLimitMs = times.timeLimitMs;
  }

  async check(machines: readonly CommandMachine[], signal: AbortSignal): Promise<readonly string[]> {
    const fault = await this.program.findFault();
    if (fault !== null) return [fault];
    const call = { operation: "check", request: { machines }, until: this.until(signal) } as const;
    return (await this.program.ask(call, checkAnswerSchema)).problems;
  }

  async create(request: CreateRequest<CommandMachine>, signal: AbortSignal): Promise<{ providerId: string }> {
    const { name, tags, templateKey, machine, maxLifetimeMs, boot } = request;
    const question = {
      name,
      tags,
      template_key: templateKey,
      machine,
      max_lifetime_seconds: Math.ceil(maxLifetimeMs / 1_000),
      runner_env: boot.runnerEnv,
      registration_token: boot.registrationToken,
    };
    const until = this.until(signal);
    const call = { operation: "create", request: question, until, secret: boot.registrationToken } as const;
    return { providerId: (await this.program.ask(call, createAnswerSchema)).provider_id };
  }

  async list(owner: Omit<InstanceTags, "instance">, signal: AbortSignal): Promise<readonly ObservedMachine[]> {
    const { controller, pool } = owner;
    const machines = await this.find({ controller, pool }, this.until(signal));
    return machines.filter(({ tags }) => tags["controller"] === controller && tags["pool"] === pool).map(observe);
  }

  async delete(target: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void> {
    const until = this.until(signal);
    const { providerId, tags } = target;
    const found = await this.find({ provider_id: providerId }, until);
    const machine = found.find(({ provider_id: id }) => id === providerId);
    if (!machine) return;
    if (!sameTags(observe(machine).tags, tags)) {
      throw new ProviderError("refused", `${providerId} was not deleted: its tags are not the expected ones.`);
    }
    const call = { operation: "delete", request: { provider_id: providerId, tags }, until } as const;
    await this.program.ask(call, deleteAnswerSchema);
  }

  async readConsole(providerId: string, signal: AbortSignal): Promise<string | null> {
    const call = { operation: "console", request: { provider_id: providerId }, until: this.until(signal) } as const;
    return (await this.program.ask(call, consoleAnswerSchema)).console?.slice(-MAX_CONSOLE_CHARS) ?? null;
  }

  async close(): Promise<void> {
    this.program.close();
  }

  private async find(filter: object, until: AbortSignal): Promise<readonly ListedMachine[]> {
    const { machines } = await this.program.ask({ operation: "list", request: filter, until }, listAnswerSchema);
    if (new Set(machines.map(({ provider_id: id }) => id)).size === machines.length) return machines;
    throw new ProviderError("unavailable", "The command's list names a machine twice.");
  }

  /** Waiting for a turn counts. */
  private until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(this.timeLimitMs)]);
  }
}
