import { describe, expect, it } from "vitest";
import { chooseAccel, kvmFault } from "./accel.ts";

describe("acceleration", () => {
  it.each([
    [true, true, "kvm"],
    [true, false, "tcg"],
    [false, true, "tcg"],
  ] as const)("with a usable device %s and a fit processor %s is %s", (deviceUsable, processor, accel) => {
    const facts = { deviceUsable, processor };
    expect(chooseAccel("auto", facts)).toBe(accel);
    expect(kvmFault(facts) === null).toBe(accel === "kvm");
  });

  it("is what the settings name, whatever is there", () => {
    expect(chooseAccel("tcg", { deviceUsable: true, processor: true })).toBe("tcg");
    expect(chooseAccel("kvm", { deviceUsable: false, processor: false })).toBe("kvm");
  });
});
