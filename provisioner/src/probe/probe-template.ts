import { setTimeout as sleep } from "node:timers/promises";
import { isTransient } from "@shipfox/shared/call-error";
import { formatSeconds } from "@shipfox/shared/operate/output";
import { bootRequest } from "../boot-request.ts";
import type { ControlPlane } from "../control-plane/client.ts";
import { CALL_LIMIT_MS, type InstanceTags } from "../drivers/driver.ts";
import type { Template } from "../templates/template.ts";
import { asProviderError } from "../world.ts";
import type { ProbeWorld, Trial } from "./probe-world.ts";
import { readRecord, removeMachine } from "./remove-machine.ts";

const SECOND_MS = 1_000;
const LOOK_INTERVAL_MS = SECOND_MS;
/** Looks at the records between two at the provider's list, which costs more. */
const LOOKS_PER_LIST = 3;
/** What a machine that nobody removes lives on after the time for its boot. */
const MARGIN_MS = 600_000;

export interface Probe {
  readonly template: Template;
  /** What the records call it. */
  readonly recordKey: string;
}

export interface ProbeResult {
  readonly templateKey: string;
  /** Why the proof failed, a sentence; null when the runner registered. */
  readonly fault: string | null;
  /** The last of the console of a machine that failed; null when there is none. */
  readonly console: string | null;
  /** Why the machine may still be there, a sentence; null when it is gone. */
  readonly leftBehind: string | null;
}

/** One machine of one template, from its record to its removal. Never rejects. */
export async function probeTemplate(world: ProbeWorld, probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const { controlPlane, owner, providerKind, observer } = world;
  const { template, recordKey } = probe;
  const result = { templateKey: template.key, console: null, leftBehind: null };
  if (signal.aborted) return { ...result, fault: "it was not tried" };
  let planned: Awaited<ReturnType<ControlPlane["planInstances"]>>[number] | undefined;
  try {
    const bootSeconds = Math.ceil(template.bootTimeoutMs / SECOND_MS);
    const batch = { providerKind, bootSeconds, instances: [{ template_key: recordKey }] };
    [planned] = await controlPlane.planInstances(batch, signal);
  } catch (error) {
    return { ...result, fault: `its instance could not be recorded: ${(error as Error).message}` };
  }
  if (!planned) return { ...result, fault: "the control plane recorded no instance for it" };
  const tags = { ...owner, instance: planned.runner_instance_id };
  const trial = await tryMachine(world, { tags, token: planned.registration_token, template }, signal);
  const removal = await removeMachine(world, tags, trial);
  if (trial.mayExist && removal.leftBehind === null) observer.said(template.key, "its machine is removed");
  const console = removal.console?.replaceAll(planned.registration_token, "********") ?? null;
  return { ...result, fault: trial.fault, console, leftBehind: removal.leftBehind };
}

interface Order {
  readonly tags: InstanceTags;
  readonly token: string;
  readonly template: Template;
}

async function tryMachine(world: ProbeWorld, { tags, token, template }: Order, signal: AbortSignal): Promise<Trial> {
  const { provider, controlPlane, observer } = world;
  const bounded = { ...template, maxLifetimeMs: Math.min(template.maxLifetimeMs, template.bootTimeoutMs + MARGIN_MS) };
  const hiddenUntil = () => performance.now() + provider.listLagMs;
  let providerId: string;
  try {
    // An order that was given up halfway may make a machine later: it is waited for, also after Ctrl-C.
    const request = bootRequest(tags, token, bounded, template.bootTimeoutMs + MARGIN_MS);
    providerId = (await provider.create(request, AbortSignal.timeout(CALL_LIMIT_MS))).providerId;
    observer.said(template.key, `machine ${providerId} is started`);
    const event = { runner_instance_id: tags.instance, provider_runner_id: providerId, state: "starting" as const };
    await controlPlane.report([event], signal).catch(() => {});
  } catch (error) {
    const { message, mayHaveHappened } = asProviderError(error);
    const fault = `its machine was not made: ${message}`;
    return { fault, mayExist: mayHaveHappened, providerId: null, hiddenUntil: hiddenUntil() };
  }
  const madeAt = hiddenUntil();
  const fault = await waitForRunner(world, tags, template, signal).catch(
    (error: Error) => `its runner could not be waited for: ${error.message}`,
  );
  return { fault, mayExist: true, providerId, hiddenUntil: madeAt };
}

/** Null when the runner has registered. Rejects as the client does when the control plane refuses. */
async function waitForRunner(
  world: ProbeWorld,
  tags: InstanceTags,
  template: Template,
  signal: AbortSignal,
): Promise<string | null> {
  const { observer } = world;
  const startedAt = performance.now();
  for (let look = 1; performance.now() - startedAt < template.bootTimeoutMs; look += 1) {
    observer.waits(template.key, performance.now() - startedAt);
    await sleep(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return "it was interrupted";
    if (await hasRegistered(world, tags, signal)) {
      observer.said(
        template.key,
        `its runner registered after ${formatSeconds((performance.now() - startedAt) / 1_000)}`,
      );
      return null;
    }
    if (look % LOOKS_PER_LIST === 0 && (await hasStopped(world, tags, signal)))
      return `its machine ended before its runner registered at ${template.runnerApiUrl}`;
  }
  return `its runner did not register at ${template.runnerApiUrl} within ${formatSeconds(template.bootTimeoutMs / SECOND_MS)} (boot_timeout)`;
}

/** A control plane that does not answer for a moment is asked again. */
async function hasRegistered(world: ProbeWorld, tags: InstanceTags, signal: AbortSignal): Promise<boolean> {
  try {
    return (await readRecord(world.controlPlane, tags.instance, signal))?.registered ?? false;
  } catch (error) {
    if (signal.aborted || isTransient(error)) return false;
    throw error;
  }
}

async function hasStopped({ provider, owner }: ProbeWorld, tags: InstanceTags, signal: AbortSignal): Promise<boolean> {
  const machines = await provider.list(owner, signal).catch(() => []);
  return machines.some((machine) => machine.tags?.instance === tags.instance && machine.state === "stopped");
}
