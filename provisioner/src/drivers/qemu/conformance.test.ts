import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { driverConformance } from "../conformance.ts";
import { bootableDisk } from "./bootable-disk.fixture.ts";
import { findMachineProcesses } from "./machine-processes.ts";
import type { QemuMachine } from "./options.ts";
import { qemuDriver } from "./qemu-driver.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "qemu-conformance-"));
  // QEMU reads the images as another user.
  await chmod(folder, 0o755);
  await writeFile(join(folder, "stay.img"), bootableDisk("stay"));
});
afterAll(() => rm(folder, { recursive: true }));

function machine(disk: string): QemuMachine {
  return qemuDriver.machineSchema.parse({ disk, disk_format: "raw", memory_mib: 128, cpus: 1 });
}

async function leftovers(): Promise<string[]> {
  const state = join(folder, "state");
  const names = await Promise.all(["machines", "pending"].map((name) => readdir(join(state, name))));
  return [...names.flat(), ...[...findMachineProcesses().keys()].filter((path) => path.startsWith(folder))];
}

driverConformance("[qemu] virtual machines", {
  open: () =>
    qemuDriver.open(qemuDriver.settingsSchema.parse({ accel: "tcg" }), {
      stateDir: join(folder, "state"),
      baseDir: folder,
    }),
  machine: () => machine("stay.img"),
  refusedMachine: () => machine("none.img"),
  leftovers,
  endsItself: true,
});
