import type { ContainerCreateOptions } from "dockerode";
import type { CreateRequest } from "../driver.ts";
import { labelsOf, TEMPLATE_LABEL } from "../tag-labels.ts";
import type { DockerMachine, DockerSettings } from "./options.ts";

const MIB = 1024 ** 2;
const NANO = 1e9;
/** What a runner that is root needs to run steps as another user, and to end and clean up after them; nothing else. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];
/** The console is read from it; two files, so that the last lines are there also when a new one has just begun. */
const LOG = { Type: "json-file", Config: { "max-size": "512k", "max-file": "2" } };

/** What an image starts when nobody says otherwise. */
export interface ImageCommand {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

/**
 * A container that may do nothing but run its runner: no path and no socket of the host, no right beyond those that switching to the
 * job's user takes, limits on all that can be limited. It ends with its first process, which `timeout` kills at the end of its
 * lifetime, whatever runs in it and whoever is still there to ask.
 */
export function containerOptions(
  { name, tags, templateKey, machine, maxLifetimeMs }: Omit<CreateRequest<DockerMachine>, "boot">,
  settings: DockerSettings,
  image: ImageCommand,
): ContainerCreateOptions {
  const { cpus, memory_mib: memoryMib, pids, disk_gib: diskGib, tmpfs_mib: tmpfsMib, runtime } = machine;
  const memory = memoryMib * MIB;
  return {
    name,
    Hostname: name,
    Image: machine.image,
    User: "0:0",
    Entrypoint: ["timeout", "-s", "KILL", String(Math.ceil(maxLifetimeMs / 1000)), ...image.entrypoint],
    Cmd: [...image.command],
    Labels: { ...settings.labels, ...labelsOf(tags), [TEMPLATE_LABEL]: templateKey },
    HostConfig: {
      Init: true,
      NetworkMode: settings.network,
      RestartPolicy: { Name: "no" },
      CapDrop: ["ALL"],
      CapAdd: CAPABILITIES,
      SecurityOpt: ["no-new-privileges"],
      IpcMode: "private",
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: Math.round(cpus * NANO),
      PidsLimit: pids,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      LogConfig: LOG,
      ...(diskGib === undefined ? {} : { StorageOpt: { size: `${diskGib}G` } }),
      ...(tmpfsMib === undefined ? {} : { Tmpfs: { "/tmp": `rw,exec,nosuid,nodev,mode=1777,size=${tmpfsMib}m` } }),
      ...(runtime === undefined ? {} : { Runtime: runtime }),
    },
  };
}
