import type Docker from "dockerode";
import type { JobUser } from "../sandbox.ts";
import { type ContainerLimits, type DockerSettings, KEEPER_USER } from "./docker-options.ts";

/** What is asked of the engine: pure, so that a test can say what every container has and has not. */

export const WORKSPACE_INSIDE = "/workspace";
export const FILES_INSIDE = "/shipfox";

export const LABEL_RUNNER = "shipfox.runner";
export const LABEL_PLACE = "shipfox.place";
const LABEL_ROLE = "shipfox.role";
const LABEL_EXECUTION = "shipfox.execution";

export type Role = "holder" | "job" | "service-holder" | "service" | "probe" | "cleaner" | "network";

export interface Owner {
  runnerId: string;
  placeId: string;
  /** Null for what is made ahead, before it is known for which job. */
  executionId: string | null;
}

export function labelsOf(owner: Owner, role: Role): Record<string, string> {
  const labels = { [LABEL_RUNNER]: owner.runnerId, [LABEL_PLACE]: owner.placeId, [LABEL_ROLE]: role };
  return owner.executionId === null ? labels : { ...labels, [LABEL_EXECUTION]: owner.executionId };
}

/** Reads its input to the end and nothing else: the end comes when the runner lets go of it, in whatever way. */
const KEEPER_COMMAND = ["/bin/sh", "-c", "while read -r _; do :; done"];

/** Keeps the capabilities of the container even from a root process beside a main process that is not root. */
const NO_NEW_PRIVILEGES = ["no-new-privileges"];

export const HARDENING = {
  Init: true,
  AutoRemove: true,
  CapDrop: ["ALL"],
  SecurityOpt: NO_NEW_PRIVILEGES,
  LogConfig: { Type: "none", Config: {} },
  RestartPolicy: { Name: "no" },
  IpcMode: "private",
  CgroupnsMode: "private",
};

const DEAD_MAN_SWITCH = {
  OpenStdin: true,
  StdinOnce: true,
  AttachStdin: true,
  AttachStdout: false,
  AttachStderr: false,
} as const;

export interface JobContainerPlan {
  settings: DockerSettings;
  /** Root for an image of the operator's list, else the steps' usual user. */
  user: JobUser;
  owner: Owner;
  imageId: string;
  /** Null when the job has no network. */
  holderId: string | null;
  workspace: string;
  files: string;
  env: Readonly<Record<string, string>>;
  home: string;
  /** The runner's folder that becomes the home, where the image has none for the steps' user. */
  homeFolder: string | null;
  /** Files of the runner that lie over those of the image, by their path inside. */
  overlays: Readonly<Record<string, string>>;
  /** Where the engine can bound the container's own layer. */
  layerBytes: number | null;
}

export function jobContainerOptions(plan: JobContainerPlan): Docker.ContainerCreateOptions {
  const { limits, readOnlyRoot, runtime, addedCapabilities } = plan.settings;
  const { uid, gid } = plan.user;
  const tmpBytes = Math.floor(limits.tmpBytes);
  const overlays = Object.entries(plan.overlays);
  return {
    name: `shipfox-${plan.owner.placeId}-job-${randomSuffix()}`,
    Image: plan.imageId,
    Entrypoint: KEEPER_COMMAND,
    Cmd: [],
    User: userText(KEEPER_USER),
    WorkingDir: WORKSPACE_INSIDE,
    Env: Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(plan.owner, "job"),
    Healthcheck: { Test: ["NONE"] },
    ...DEAD_MAN_SWITCH,
    HostConfig: {
      ...HARDENING,
      NetworkMode: plan.holderId === null ? "none" : `container:${plan.holderId}`,
      Mounts: [
        { Type: "bind", Source: plan.workspace, Target: WORKSPACE_INSIDE },
        { Type: "bind", Source: plan.files, Target: FILES_INSIDE },
        ...(plan.homeFolder === null ? [] : [{ Type: "bind" as const, Source: plan.homeFolder, Target: plan.home }]),
        ...overlays.map(([target, source]) => ({
          Type: "bind" as const,
          Source: source,
          Target: target,
          ReadOnly: true,
        })),
      ],
      Tmpfs: {
        "/tmp": `rw,nosuid,nodev,exec,mode=1777,size=${tmpBytes}`,
        ...(readOnlyRoot
          ? { [plan.home]: `rw,nosuid,nodev,exec,mode=0750,uid=${uid},gid=${gid},size=${tmpBytes}` }
          : {}),
      },
      ReadonlyRootfs: readOnlyRoot,
      // Nothing gains from a capability but root.
      CapAdd: uid === 0 ? [...addedCapabilities] : [],
      SecurityOpt: uid === 0 && addedCapabilities.length > 0 ? [] : NO_NEW_PRIVILEGES,
      ...(runtime === null ? {} : { Runtime: runtime }),
      ...(plan.layerBytes === null ? {} : layerLimit(plan.layerBytes)),
      ...limitOptions(limits),
    },
  };
}

/** What a job's container may use at most, and each of its services. */
export function limitOptions(limits: ContainerLimits): Docker.HostConfig {
  const nofile = limits.openFiles === null ? [] : [{ Name: "nofile", Soft: limits.openFiles, Hard: limits.openFiles }];
  return {
    ShmSize: Math.floor(limits.shmBytes),
    PidsLimit: limits.pids,
    Memory: Math.floor(limits.memoryBytes),
    // Equal to Memory: no swap.
    MemorySwap: Math.floor(limits.memoryBytes),
    NanoCpus: Math.floor(limits.cpus * 1e9),
    Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }, ...nofile],
  };
}

const HOLDER_MEMORY_BYTES = 32 * 1024 * 1024;
const HOLDER_PIDS = 16;

export interface HolderPlan {
  settings: DockerSettings;
  owner: Owner;
  imageId: string;
  networkId: string;
  /** Lets a root `exec` in the holder set routes; the holder's own process has no capability either way. */
  mayAdministerNetwork: boolean;
}

/** The container whose network namespace a job's containers join. */
export function holderOptions(plan: HolderPlan): Docker.ContainerCreateOptions {
  return {
    name: `shipfox-${plan.owner.placeId}-holder`,
    Image: plan.imageId,
    Entrypoint: KEEPER_COMMAND,
    Cmd: [],
    User: userText(KEEPER_USER),
    WorkingDir: "/",
    Hostname: "job",
    Labels: labelsOf(plan.owner, "holder"),
    Healthcheck: { Test: ["NONE"] },
    ...DEAD_MAN_SWITCH,
    HostConfig: {
      ...HARDENING,
      CapAdd: plan.mayAdministerNetwork ? ["NET_ADMIN"] : [],
      SecurityOpt: plan.mayAdministerNetwork ? [] : NO_NEW_PRIVILEGES,
      ReadonlyRootfs: true,
      NetworkMode: plan.networkId,
      Dns: [...plan.settings.dns],
      PidsLimit: HOLDER_PIDS,
      Memory: HOLDER_MEMORY_BYTES,
      MemorySwap: HOLDER_MEMORY_BYTES,
    },
  };
}

function layerLimit(bytes: number): { StorageOpt: Record<string, string> } {
  return { StorageOpt: { size: String(Math.floor(bytes)) } };
}

/** Never started: only there to look into an image, or to see whether the engine takes `layerBytes`. */
export function probeOptions(owner: Owner, imageId: string, layerBytes?: number): Docker.ContainerCreateOptions {
  return {
    Image: imageId,
    Entrypoint: KEEPER_COMMAND,
    Cmd: [],
    Labels: labelsOf(owner, "probe"),
    HostConfig: { NetworkMode: "none", ...(layerBytes === undefined ? {} : layerLimit(layerBytes)) },
  };
}

/** Neither of the two follows a link below the names it is given, and a pattern that matches nothing does no harm. */
const CLEAN_UP = "chmod -R u+rwX /place/* /place/.[!.]* /place/..?*; rm -rf /place/* /place/.[!.]* /place/..?*";

/** Removes what the runner's user may not: root inside, over one place's folder, and nothing else. */
export function cleanerOptions(owner: Owner, imageId: string, folder: string): Docker.ContainerCreateOptions {
  return {
    Image: imageId,
    Entrypoint: ["/bin/sh", "-c", CLEAN_UP],
    Cmd: [],
    User: "0:0",
    Labels: labelsOf(owner, "cleaner"),
    HostConfig: {
      ...HARDENING,
      // It must still be there when we wait for it.
      AutoRemove: false,
      CapAdd: ["DAC_OVERRIDE", "FOWNER"],
      NetworkMode: "none",
      Mounts: [{ Type: "bind", Source: folder, Target: "/place" }],
      PidsLimit: HOLDER_PIDS,
    },
  };
}

export function userText(user: JobUser): string {
  return `${user.uid}:${user.gid}`;
}

export function randomSuffix(): string {
  return Math.random().toString(16).slice(2, 8).padEnd(6, "0");
}
