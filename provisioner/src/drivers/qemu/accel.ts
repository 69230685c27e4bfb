import { accessSync, constants, readFileSync } from "node:fs";

export type Accel = "kvm" | "tcg";

const KVM_DEVICE = "/dev/kvm";

/** What decides whether machines can use the processor's own virtualization. */
export interface KvmFacts {
  readonly deviceUsable: boolean;
  /** The processor has VT-x or AMD-V, or it is one (arm64) whose kernel offers the device only when it works. */
  readonly processor: boolean;
}

/** Null when KVM works here, else a sentence that says why not. Some hosts have the device without the processor for it. */
export function kvmFault({ deviceUsable, processor }: KvmFacts): string | null {
  if (!deviceUsable) return `${KVM_DEVICE} is missing or may not be opened by this user`;
  if (!processor) return `${KVM_DEVICE} is there, but /proc/cpuinfo shows neither vmx nor svm`;
  return null;
}

export function chooseAccel(wanted: "auto" | Accel, facts: KvmFacts): Accel {
  if (wanted !== "auto") return wanted;
  return kvmFault(facts) === null ? "kvm" : "tcg";
}

export function readKvmFacts(): KvmFacts {
  return {
    deviceUsable: canOpen(KVM_DEVICE),
    processor: process.arch !== "x64" || /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8")),
  };
}

function canOpen(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
