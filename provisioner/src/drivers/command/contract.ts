import { z } from "zod";
import type { ObservedMachine, ProviderFault } from "../driver.ts";

/** What the program is asked and answers, as docs/provisioner.md promises it. A change that breaks programs counts this up. */
export const CONTRACT_VERSION = 1;

export type Operation = "check" | "create" | "list" | "delete" | "console";

const FAULT_OF_EXIT_CODE: ReadonlyMap<number, ProviderFault> = new Map([
  [10, "throttled"],
  [11, "no_capacity"],
  [12, "quota"],
  [13, "refused"],
  [14, "unavailable"],
]);

export function faultOfExitCode(code: number): ProviderFault | null {
  return FAULT_OF_EXIT_CODE.get(code) ?? null;
}

const MAX_PROVIDER_ID_CHARS = 255;
const MAX_RETRY_AFTER_SECONDS = 3_600;
const MAX_PROBLEMS = 100;

/** Handed to the program as it is. */
export const machineSchema = z.record(z.string(), z.json());
export type CommandMachine = z.infer<typeof machineSchema>;

const providerId = z.string().min(1).max(MAX_PROVIDER_ID_CHARS);
const listedMachineSchema = z.object({
  provider_id: providerId,
  tags: z.record(z.string(), z.unknown()),
  state: z.enum(["starting", "running", "stopping", "stopped"]),
});

export const checkAnswerSchema = z.object({ problems: z.array(z.string().min(1)).max(MAX_PROBLEMS) });
export const createAnswerSchema = z.object({ provider_id: providerId });
export const listAnswerSchema = z.object({
  // A program that broke off between two pages cannot have said it.
  complete: z.literal(true),
  machines: z.array(listedMachineSchema),
});
export const deleteAnswerSchema = z.object({});
export const consoleAnswerSchema = z.object({ console: z.string().nullable() });
/** Every part may be missing: the exit code says enough. */
export const failureAnswerSchema = z.object({
  message: z.string().optional(),
  may_have_happened: z.boolean().optional(),
  retry_after_seconds: z.number().min(0).max(MAX_RETRY_AFTER_SECONDS).optional(),
});

export type ListedMachine = z.infer<typeof listedMachineSchema>;

/** `tags` is null unless all three are there as text. */
export function observe(machine: ListedMachine): ObservedMachine {
  const { controller, pool, instance } = machine.tags;
  const isWhole = typeof controller === "string" && typeof pool === "string" && typeof instance === "string";
  return {
    providerId: machine.provider_id,
    tags: isWhole ? { controller, pool, instance } : null,
    state: machine.state,
  };
}
