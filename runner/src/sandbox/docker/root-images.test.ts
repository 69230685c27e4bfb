import { expect, it } from "vitest";
import { checkRootImage, mayBeRoot } from "./root-images.ts";

it("allows exactly the names of the list and what is below one that ends in a star", () => {
  const list = ["node:24", "registry.example/team/*", "alpine:*"];
  const allowed = ["node:24", "registry.example/team/app:1", "registry.example/team/sub/app", "alpine:3"];
  const refused = [
    "node:24-slim",
    "node",
    "docker.io/library/node:24",
    "registry.example/teams/app",
    "alpine",
    "evil/alpine:3",
  ];
  for (const image of allowed) expect(mayBeRoot(image, list)).toBe(true);
  for (const image of refused) expect(mayBeRoot(image, list)).toBe(false);
});

it("refuses a star that would allow more than its author thinks", () => {
  for (const pattern of ["*", "node*", "*/node", "a/*/b", ""])
    expect(() => checkRootImage(pattern)).toThrow("is not an image");
  for (const pattern of ["node:*", "registry.example/*", "node:24"])
    expect(() => checkRootImage(pattern)).not.toThrow();
});
