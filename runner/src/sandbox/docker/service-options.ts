import type { ServiceConfig } from "@shipfox/shared/machine";
import type Docker from "dockerode";
import {
  HARDENING,
  type HolderPlan,
  holderOptions,
  labelsOf,
  limitOptions,
  type Owner,
  randomSuffix,
} from "./container-options.ts";
import type { DockerSettings } from "./docker-options.ts";

/**
 * What a service may do as root in its container: give its files to its user and become that user, which is what the images
 * of databases do at their start. Nothing here reaches the host, the network's routes or another container.
 */
const SERVICE_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/**
 * The keeper of a service runs as root, with a capability that the service never has: the kernel then keeps even a root process
 * of the service from looking into the keeper, and with it from holding the input that is the runner's lifeline.
 */
const KEEPER_CAPABILITY = "AUDIT_WRITE";

/** The container whose network and PID namespaces a service joins: the routes are set, and its end is the service's end. */
export function serviceHolderOptions(
  plan: HolderPlan,
  networkName: string,
  name: string,
): Docker.ContainerCreateOptions {
  const options = holderOptions(plan);
  return {
    ...options,
    name: `shipfox-${plan.owner.placeId}-beside-${name}-${randomSuffix()}`,
    User: "0:0",
    Hostname: name,
    Labels: labelsOf(plan.owner, "service-holder"),
    HostConfig: { ...options.HostConfig, CapAdd: [...(options.HostConfig?.CapAdd ?? []), KEEPER_CAPABILITY] },
    NetworkingConfig: { EndpointsConfig: { [networkName]: { Aliases: [name] } } },
  };
}

export interface ServicePlan {
  settings: DockerSettings;
  owner: Owner;
  imageId: string;
  holderId: string;
  service: ServiceConfig;
}

export function serviceOptions({
  settings,
  owner,
  imageId,
  holderId,
  service,
}: ServicePlan): Docker.ContainerCreateOptions {
  return {
    name: `shipfox-${owner.placeId}-service-${service.name}-${randomSuffix()}`,
    Image: imageId,
    ...(service.command === undefined ? {} : { Cmd: service.command }),
    Env: Object.entries(service.env ?? {}).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(owner, "service"),
    // The runner asks by itself: sooner than an engine would, and also where an engine has no timers.
    Healthcheck: { Test: ["NONE"] },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...HARDENING,
      // The init is the holder's, whose PID namespace it shares.
      Init: false,
      CapAdd: SERVICE_CAPABILITIES,
      NetworkMode: `container:${holderId}`,
      PidMode: `container:${holderId}`,
      ...limitOptions(settings.limits),
    },
  };
}
