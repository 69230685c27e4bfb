import { chmodSync, statSync } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import { getuid } from "node:process";
import { type Driver, ProviderError } from "../driver.ts";
import { chooseAccel, readKvmFacts } from "./accel.ts";
import { withAbsolutePaths } from "./check-host.ts";
import type { Account } from "./command-line.ts";
import { findImageTool, findProgram } from "./host-programs.ts";
import { MachineFolders } from "./machine-folders.ts";
import { type QemuMachine, type QemuSettings, qemuMachineSchema, qemuSettingsSchema } from "./options.ts";
import { QemuProvider } from "./qemu-provider.ts";

/** Virtual machines on this host, by QEMU: with KVM where it can be had, else emulated. */
export const qemuDriver: Driver<QemuSettings, QemuMachine> = {
  kind: "qemu",
  settingsSchema: qemuSettingsSchema,
  machineSchema: qemuMachineSchema,
  sandboxes: ["host", "docker"],
  loopback: { leadsTo: "the-machine", hint: "machines reach this host's loopback address as 10.0.2.2" },

  async open(settings, { stateDir, baseDir }) {
    const binary = await findProgram(settings.binary, baseDir);
    if (binary === null) throw missing(settings.binary, "qemu-system-x86");
    const imageTool = await findImageTool(binary, baseDir);
    if (imageTool === null) throw missing("qemu-img", "qemu-utils");
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    chmodSync(stateDir, 0o700);
    // The processes of machines are recognised by the path that the kernel shows.
    const folder = await realpath(stateDir);
    const host = {
      settings,
      binary,
      imageTool,
      account: accountOf(settings),
      stateDir: folder,
      resolve: (machine: QemuMachine) => withAbsolutePaths(machine, baseDir),
    };
    return new QemuProvider(host, await MachineFolders.open(folder));
  },
};

function missing(program: string, debianPackage: string): ProviderError {
  return new ProviderError(
    "refused",
    `${program} is not on this host; on Debian the package ${debianPackage} brings it`,
  );
}

/** Only root can become another user. */
function accountOf({ user, accel }: QemuSettings): Account | null {
  if (getuid?.() !== 0) return null;
  const [uid = 0, gid = 0] = user.split(":").map(Number);
  // Where KVM is demanded and not there, `check` says so.
  const device =
    chooseAccel(accel, readKvmFacts()) === "kvm" ? statSync("/dev/kvm", { throwIfNoEntry: false }) : undefined;
  const groups = device === undefined ? [] : [device.gid];
  return { uid, gid, groups };
}
