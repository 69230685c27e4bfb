import { join, resolve } from "node:path";
import type { Logger } from "@shipfox/shared/logger";
import { proxyEnv, type RunnerConfig } from "./config.ts";
import type { Lifelines } from "./sandbox/lifelines.ts";
import type { SandboxProvider } from "./sandbox/sandbox.ts";
import type { StateFolder } from "./state-folder.ts";

/** The sandboxes the operator chose. Only the chosen implementation is loaded. Rejects with a sentence for people. */
export async function makeProvider(options: {
  config: RunnerConfig;
  state: StateFolder;
  certificateBundleFile: string | null;
  lifelines: Lifelines;
  logger: Logger;
}): Promise<SandboxProvider> {
  const { config, state, certificateBundleFile, lifelines, logger } = options;
  const common = {
    workRoot: resolve(config.workDir ?? state.work),
    logger,
    lifelines,
    runnerId: state.instanceId(),
    jobUser: config.jobUser,
    passedEnv: proxyEnv(config),
    npmrcFile: config.npmrcFile ?? null,
    caFile: certificateBundleFile,
    firewall: config.firewall,
    deniedNetworks: config.denyAddresses,
    allowedNetworks: config.allowAddresses,
  };
  if (config.sandbox === "host") {
    const { HostProvider } = await import("./sandbox/host/host-provider.ts");
    return new HostProvider(common);
  }
  const { DockerProvider } = await import("./sandbox/docker/docker-provider.ts");
  return new DockerProvider({
    ...common,
    concurrency: config.concurrency,
    dockerHost: config.dockerHost ?? null,
    exec: config.exec,
    egress: config.egress,
    poolSize: config.warm,
    warmMaxAgeMs: config.warmMaxAgeMs,
    imageRecordFile: join(state.path, "pulled-images.json"),
    imageGarbage: { maxAgeMs: config.imageGcMaxAgeMs || null, maxBytes: config.imageGcMaxBytes || null },
    dns: config.dns,
    limits: limitsOf(config),
    diskLimitBytes: config.diskLimitBytes ?? null,
    readOnlyRoot: config.readOnlyRoot,
    runtime: config.runtime ?? null,
    rootImages: config.rootImages,
    addedCapabilities: config.addCapabilities,
    serviceStartMs: config.serviceStartMs,
    pullPolicy: config.pullPolicy,
    localImages: config.localImages,
    ...(config.image === undefined ? {} : { defaultImage: config.image }),
    ...(config.subnet === undefined ? {} : { subnet: config.subnet }),
  });
}

/** What the operator chose; the rest follows from the machine. */
function limitsOf(config: RunnerConfig) {
  const chosen = {
    pids: config.pidsLimit,
    memoryBytes: config.memoryBytes,
    cpus: config.cpus,
    tmpBytes: config.tmpBytes,
    shmBytes: config.shmBytes,
    openFiles: config.openFiles,
  };
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
}
