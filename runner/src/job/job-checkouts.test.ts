import { expect, it } from "vitest";
import { JobCheckouts } from "./job-checkouts.ts";

const COMMIT = "a".repeat(40);
const lib = { path: "lib", repository: "https://git.example/lib.git", ref: "main", commit: COMMIT };

it("finds a checkout again by its place, its repository and its ref or commit", () => {
  const checkouts = new JobCheckouts();
  expect(checkouts.isEmpty).toBe(true);
  checkouts.add(lib);
  expect(checkouts.isEmpty).toBe(false);
  expect(checkouts.find(lib)).toEqual(lib);
  expect(checkouts.find({ ...lib, ref: COMMIT })).toEqual(lib);
  for (const other of [{ path: "other" }, { repository: "https://git.example/other.git" }, { ref: "next" }])
    expect(checkouts.find({ ...lib, ...other })).toBeNull();
});

it("forgets what another one took the place of, and keeps what lies beside it", () => {
  const checkouts = new JobCheckouts();
  const beside = { ...lib, path: "library" };
  for (const path of ["lib/inner", "library"]) checkouts.add({ ...lib, path });
  checkouts.add({ ...lib, ref: "next" });
  expect(checkouts.find({ ...lib, ref: "next" })).toEqual({ ...lib, ref: "next" });
  expect(checkouts.find({ ...lib, path: "lib/inner" })).toBeNull();
  expect(checkouts.find(beside)).toEqual(beside);
  checkouts.add({ ...lib, path: "" });
  expect(checkouts.find(beside)).toBeNull();
});
