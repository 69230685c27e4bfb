import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findProgramFault } from "./program-fault.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "shipfox-program-"));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function program(script: string, mode = 0o755): Promise<string> {
  const path = join(root, "program");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, mode);
  return path;
}

describe("a program of the operator", () => {
  it("is taken when only its owner can change it, also through a link", async () => {
    const path = await program("true");
    await symlink(path, join(root, "link"));
    expect([await findProgramFault(path), await findProgramFault(join(root, "link"))]).toEqual([null, null]);
  });

  it.each([
    ["a relative path", async () => "program", /not an absolute path/],
    ["nothing", async () => join(root, "none"), /cannot be run/],
    ["a folder", async () => root, /not a file/],
    ["a file without the right to run", () => program("true", 0o644), /cannot be run/],
    ["a file that its group may write", () => program("true", 0o775), /can be written by others/],
    ["a file that all may write", () => program("true", 0o757), /can be written by others/],
    [
      "a file in a folder that all may write",
      async () => {
        const open = join(root, "open");
        await mkdir(open);
        await chmod(open, 0o777);
        await writeFile(join(open, "program"), "#!/bin/sh\n", { mode: 0o755 });
        return join(open, "program");
      },
      /open can be written by others/,
    ],
  ])("is refused when it is %s", async (_what, make, fault) => {
    expect(await findProgramFault(await make())).toMatch(fault);
  });
});
