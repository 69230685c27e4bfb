import { expect, it } from "vitest";
import { DefinitionReader } from "./definition-reader.ts";

const large = (jobs: number) =>
  `name: Large\nrunner: linux\njobs:\n${Array.from({ length: jobs }, (_, index) => `  job${index}:\n    steps:\n      - run: echo ${"x".repeat(100)}\n`).join("")}`;

it("reads a large file as it reads a small one", async () => {
  const reader = new DefinitionReader([]);
  expect(await reader.read(large(1))).toMatchObject({ ok: true, content: { name: "Large" } });
  expect(await reader.read(large(400))).toMatchObject({ ok: true, content: { name: "Large" } });
});

it("answers others while a hostile file is read", async () => {
  const reader = new DefinitionReader([]);
  const hostile = reader.read(`name: [${"[".repeat(400_000)}`).then(
    () => "read",
    () => "refused",
  );
  const order: string[] = [];
  void hostile.then(() => order.push("hostile"));
  await reader.read(large(1)).then(() => order.push("small"));
  await hostile;
  expect(order).toEqual(["small", "hostile"]);
});

it("reads on after it was closed, in a thread that it starts anew, and refuses what it was reading", async () => {
  const reader = new DefinitionReader([]);
  const interrupted = reader.read(large(400)).then(
    () => "read",
    () => "refused",
  );
  await new Promise(setImmediate);
  await reader.close();
  expect(await interrupted).toBe("refused");
  expect(await reader.read(large(400))).toMatchObject({ ok: true, content: { name: "Large" } });
});
