import { randomBytes } from "node:crypto";
import PQueue from "p-queue";
import type { Template } from "../templates/template.ts";
import { type Probe, type ProbeResult, probeTemplate } from "./probe-template.ts";
import type { ProbeWorld } from "./probe-world.ts";

/** Machines at once: a provider of one host has room for a few. */
const PARALLEL = 4;
const MAX_KEY_CHARS = 255;
const CLOSE_LIMIT_MS = 5_000;

/**
 * Starts a machine of each template, waits for its runner to register, and removes the machine; answers in the order of the
 * templates. Their runners offer a label that no job asks for, so that none takes a job, and the records name templates that no file
 * has, so that a daemon removes what this process could not. Once `signal` is aborted nothing is started, and what was is removed.
 * Rejects as the client does when the control plane refuses.
 */
export async function probeTemplates(
  world: ProbeWorld,
  templates: readonly Template[],
  signal: AbortSignal,
): Promise<ProbeResult[]> {
  const label = `shipfox-validate-${randomBytes(8).toString("hex")}`;
  const probes = templates.map(
    (template, index): Probe => ({
      template: { ...template, labels: [label] },
      recordKey: `validate ${index + 1}: ${template.key}`.slice(0, MAX_KEY_CHARS),
    }),
  );
  const advertised = probes.map(({ template, recordKey }) => ({
    template_key: recordKey,
    labels: [...template.labels],
    capabilities: [],
    available_slots: 0,
    starting: 0,
    running: 0,
  }));
  const { controlPlane } = world;
  await controlPlane.pollDemand({ templates: advertised, maxReservations: 0, waitSeconds: 0 }, signal);
  const queue = new PQueue({ concurrency: Math.min(PARALLEL, world.maxInstances) });
  try {
    return await Promise.all(probes.map((probe) => queue.add(() => probeTemplate(world, probe, signal))));
  } finally {
    await controlPlane
      .pollDemand({ templates: [], maxReservations: 0, waitSeconds: 0 }, AbortSignal.timeout(CLOSE_LIMIT_MS))
      .catch(() => {});
  }
}
