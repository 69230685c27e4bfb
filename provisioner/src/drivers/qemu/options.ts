import { z } from "zod";

const MAX_CPUS = 1_024;
const MAX_MEMORY_MIB = 16 * 1024 ** 2;
const MIN_MEMORY_MIB = 128;
const MAX_DISK_GIB = 64 * 1024;
const MAX_NICE = 19;
const MAX_ID = 2 ** 31 - 1;
const MAX_PATH_CHARS = 4_096;
/** What the kernel of a machine takes at most. */
const MAX_APPEND_CHARS = 2_047;

const path = z
  .string()
  .min(1)
  .max(MAX_PATH_CHARS)
  .refine((value) => !value.includes("\0"), "expected a path");

/** Not root: a guest that breaks out of QEMU is this user. */
const account = z
  .string()
  .regex(/^[1-9]\d{0,9}:[1-9]\d{0,9}$/, 'expected "uid:gid", both numbers and not 0')
  .refine((text) => text.split(":").every((part) => Number(part) <= MAX_ID), `expected numbers up to ${MAX_ID}`);

export const qemuSettingsSchema = z.strictObject({
  /** A name on PATH or a path. `qemu-img` is looked for beside it, then on PATH. */
  binary: path.default("qemu-system-x86_64"),
  machine_type: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "expected the name of a machine type, such as q35")
    .default("q35"),
  /** `auto`: KVM where it can work, else emulation. */
  accel: z.enum(["auto", "kvm", "tcg"]).default("auto"),
  /** Who QEMU runs as when the provisioner is root; otherwise it runs as the provisioner's own user. */
  user: account.default("10002:10002"),
  /** Priority of the machines' processes, 0 (usual) to 19 (last). */
  nice: z.int().min(0).max(MAX_NICE).default(5),
  /** Memory of all machines together; by default four fifths of the host's. */
  memory_mib: z.int().min(MIN_MEMORY_MIB).max(MAX_MEMORY_MIB).optional(),
});
export type QemuSettings = z.infer<typeof qemuSettingsSchema>;

export const qemuMachineSchema = z
  .strictObject({
    /** Never written to: each machine gets an overlay of its own. */
    disk: path,
    disk_format: z.enum(["qcow2", "raw"]).default("qcow2"),
    /** Size of the machine's disk; by default, and at least, that of the image. */
    disk_gib: z.int().min(1).max(MAX_DISK_GIB).optional(),
    memory_mib: z.int().min(MIN_MEMORY_MIB).max(MAX_MEMORY_MIB).default(2_048),
    cpus: z.int().min(1).max(MAX_CPUS).default(2),
    /** Without a kernel the disk image boots by itself. */
    kernel: path.optional(),
    initrd: path.optional(),
    append: z
      .string()
      .max(MAX_APPEND_CHARS)
      .regex(/^[\x20-\x7e]*$/, "expected printable ASCII on one line")
      .optional(),
    /** A firmware image, such as OVMF for UEFI; by default the one of the machine type. */
    firmware: path.optional(),
    /** How the token gets in: a tar archive on a disk of its own, or cloud-init's NoCloud. */
    seed: z.enum(["disk", "nocloud"]).default("disk"),
    network: z.enum(["user", "none"]).default("user"),
  })
  .refine(({ kernel, initrd, append }) => kernel !== undefined || (initrd ?? append) === undefined, {
    error: "initrd and append need a kernel",
    path: ["kernel"],
  });
export type QemuMachine = z.infer<typeof qemuMachineSchema>;
