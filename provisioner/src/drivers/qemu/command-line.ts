import type { Accel } from "./accel.ts";
import type { QemuMachine } from "./options.ts";

/** The machine's disk in its working folder. */
export const DISK_FILE = "disk.qcow2";
/** What QEMU inherits: its side of the control channel, and the seed disk, which has no name. */
export const CONTROL_FD = 3;
export const SEED_FD = 4;
/** By this a guest finds the seed: /dev/disk/by-id/virtio-shipfox-seed. */
const SEED_SERIAL = "shipfox-seed";
const DEFAULT_APPEND = "console=ttyS0 panic=-1 root=/dev/vda rw";

export interface QemuCommand {
  readonly binary: string;
  readonly machineType: string;
  readonly accel: Accel;
  /** With absolute paths. */
  readonly machine: QemuMachine;
  readonly name: string;
}

/**
 * The command line of QEMU: nothing but what is named here is in the machine, and no secret is in it. There is no monitor but the
 * inherited channel, which ends with the start. A guest that reboots or panics ends.
 */
export function qemuCommand({ binary, machineType, accel, machine, name }: QemuCommand): string[] {
  const options = [
    ["-name", quoted(name)],
    ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ["-machine", `${machineType},accel=${accel}`],
    ["-cpu", accel === "kvm" ? "host" : "max"],
    ["-m", `${machine.memory_mib}M`],
    ["-smp", `${machine.cpus}`],
    ["-chardev", `socket,id=control,fd=${CONTROL_FD}`, "-mon", "chardev=control,mode=control"],
    ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
    ["-object", "rng-builtin,id=random", "-device", "virtio-rng-pci,rng=random"],
    ["-drive", `file=${DISK_FILE},if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap`],
    ["-device", "virtio-blk-pci,drive=disk,bootindex=1"],
    ["-add-fd", `fd=${SEED_FD},set=1`],
    ["-drive", "file=/dev/fdset/1,if=none,id=seed,format=raw,cache=unsafe,auto-read-only=off"],
    ["-device", `virtio-blk-pci,drive=seed,serial=${SEED_SERIAL}`],
    networkOptions(machine),
    bootOptions(machine),
  ];
  return [binary, ...options.flat()];
}

function networkOptions({ network }: QemuMachine): string[] {
  if (network === "none") return [];
  return ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="];
}

function bootOptions({ kernel, initrd, append, firmware }: QemuMachine): string[] {
  const options = firmware === undefined ? [] : ["-bios", firmware];
  if (kernel === undefined) return options;
  options.push("-kernel", kernel, "-append", append ?? DEFAULT_APPEND);
  if (initrd !== undefined) options.push("-initrd", initrd);
  return options;
}

/** QEMU splits values at commas. */
function quoted(value: string): string {
  return value.replaceAll(",", ",,");
}

export interface Confinement {
  /** After so many seconds the machine is killed, whoever is left to see it. */
  readonly lifetimeSeconds: number;
  readonly nice: number;
  /** Null: QEMU runs as the provisioner's own user. */
  readonly account: Account | null;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Owner of /dev/kvm, when it is needed. */
  readonly groups: readonly number[];
}

/** Puts the dead-man timer outermost, so that it depends on no process but itself, and gives up all rights before QEMU begins. */
export function confined(command: readonly string[], { lifetimeSeconds, nice, account }: Confinement): string[] {
  const own = account === null ? [] : asAccount(account);
  return ["timeout", "--signal=KILL", `${lifetimeSeconds}s`, "nice", "-n", `${nice}`, ...own, ...command];
}

/** The beginning of a command that is to run as another user, without any capability and without a way back. */
export function asAccount({ uid, gid, groups }: Account): string[] {
  const more = groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`;
  return [
    "setpriv",
    `--reuid=${uid}`,
    `--regid=${gid}`,
    more,
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--no-new-privs",
  ];
}
