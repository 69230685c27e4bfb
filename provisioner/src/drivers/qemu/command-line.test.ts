import { describe, expect, it } from "vitest";
import { confined, qemuCommand } from "./command-line.ts";
import { qemuMachineSchema } from "./options.ts";

function command(machine: Record<string, unknown> = {}, accel: "kvm" | "tcg" = "tcg"): string {
  const parsed = qemuMachineSchema.parse({ disk: "/images/runner.qcow2", ...machine });
  return qemuCommand({ binary: "qemu", machineType: "q35", accel, machine: parsed, name: "shipfox-1" }).join(" ");
}

describe("the command line of a machine", () => {
  it("has no device, no configuration and no monitor but those that are named, and no way to another program", () => {
    expect(command()).toContain("-nodefaults -no-user-config -display none -no-reboot");
    expect(command()).toContain("-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    expect(command()).not.toMatch(/-monitor|-qmp|tcp:|hostfwd|-fw_cfg|virtfs|usb/);
  });

  it("takes memory, processors, kernel and firmware from the template", () => {
    const machine = { memory_mib: 512, cpus: 3, kernel: "/k", initrd: "/i", append: "quiet a,b", firmware: "/f" };
    expect(command(machine)).toContain("-m 512M -smp 3");
    expect(command(machine)).toContain("-bios /f -kernel /k -append quiet a,b -initrd /i");
    expect(command()).not.toMatch(/-kernel|-bios/);
  });

  it("uses the host's processor with KVM only", () => {
    expect(command({}, "kvm")).toContain("-machine q35,accel=kvm -cpu host");
    expect(command({}, "tcg")).toContain("-machine q35,accel=tcg -cpu max");
  });

  it("has no network card when the template wants no network", () => {
    expect(command()).toContain("-netdev user,id=net");
    expect(command({ network: "none" })).not.toContain("net");
  });

  it("is under a timer that depends on nobody, without rights from its first instruction on", () => {
    const account = { uid: 10002, gid: 10002, groups: [] };
    expect(confined(["qemu", "-x"], { lifetimeSeconds: 90, nice: 5, account }).join(" ")).toBe(
      "timeout --signal=KILL 90s nice -n 5 setpriv --reuid=10002 --regid=10002 --clear-groups --bounding-set=-all " +
        "--inh-caps=-all --no-new-privs qemu -x",
    );
    expect(confined(["qemu"], { lifetimeSeconds: 1, nice: 0, account: null }).join(" ")).toBe(
      "timeout --signal=KILL 1s nice -n 0 qemu",
    );
  });
});

describe("the machine section of a template", () => {
  it.each([
    [{}, "disk"],
    [{ disk: "a", initrd: "b" }, "initrd and append need a kernel"],
    [{ disk: "a", kernel: "k", append: "one\ntwo" }, "printable ASCII"],
    [{ disk: "a", memory_mib: 64 }, "memory_mib"],
    [{ disk: "a", ram: 1 }, "ram"],
  ])("is refused in words: %j", (machine, said) => {
    expect(JSON.stringify(qemuMachineSchema.safeParse(machine).error)).toContain(said);
  });
});
