import { parseImageReference } from "@shipfox/shared/image-reference";
import { describe, expect, it } from "vitest";
import { isLocalImage, registryFault, stricterPolicy } from "./image-policy.ts";

describe("the pull policy", () => {
  it.each([
    ["if-not-present", undefined, "if-not-present"],
    ["if-not-present", "always", "always"],
    ["if-not-present", "never", "never"],
    ["always", "if-not-present", "always"],
    ["always", "never", "never"],
    ["never", "always", "never"],
  ] as const)("of an operator who says %s and a workflow that says %s is %s", (operator, workflow, policy) => {
    expect(stricterPolicy(operator, workflow)).toBe(policy);
  });
});

describe("an image of the machine", () => {
  const isLocal = (reference: string, ...entries: string[]) => isLocalImage(parseImageReference(reference), entries);

  it("is one that the operator listed, in whatever form", () => {
    expect(isLocal("tools", "docker.io/library/tools:latest")).toBe(true);
    expect(isLocal("docker.io/team/tools:1", "team/tools:1")).toBe(true);
    expect(isLocal("team/tools:2", "team/tools:1")).toBe(false);
    expect(isLocal("team/tools:2")).toBe(false);
  });

  it("may be listed by the beginning of its name", () => {
    expect(isLocal("team/tools:2", "team/*")).toBe(true);
    expect(isLocal("tools", "too*")).toBe(true);
    expect(isLocal("registry.example/team/tools", "*")).toBe(true);
    expect(isLocal("registry.example/team/tools", "team/*")).toBe(false);
  });
});

describe("a registry's no", () => {
  const image = parseImageReference("registry.example/team/app");
  const denied = new Error("pull access denied for registry.example/team/app");

  it("is the workflow's to correct, and says how", () => {
    expect(registryFault(denied, image, false)).toMatchObject({
      reason: "image_unavailable",
      message: expect.stringContaining("shipfox registries add registry.example"),
    });
    expect(registryFault(denied, image, true).message).toContain("the rights of the credential");
  });

  it("is told apart from a registry that is overloaded", () => {
    expect(registryFault(new Error("toomanyrequests: slow down"), image, true).reason).toBe("registry_unavailable");
  });
});
