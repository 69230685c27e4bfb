import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createContext } from "../command-context.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { completionTree } from "../completion/tree.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { buildProgram } from "../program.ts";
import { openTerminal } from "../terminal.ts";

const { stdin, stdout, stderr } = process;
const nodes = completionTree(buildProgram(createContext(openTerminal({ stdin, stdout, stderr, env: {} }), {}, "/")));
const SCRIPTS = { bash: bashCompletion(nodes), zsh: zshCompletion(nodes), fish: fishCompletion(nodes) };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-completion-"));
  writeFileSync(join(folder, "bash"), SCRIPTS.bash);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What bash offers for the last word of a line. */
function bashOffers(line: string): string[] {
  const words = line.split(" ");
  const script = `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shipfox; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const shown = execFileSync("bash", ["-euc", script, "bash", join(folder, "bash"), ...words], { encoding: "utf8" });
  return shown.split("\n").filter((word) => word !== "");
}

describe("completion in bash", () => {
  it.each([
    ["shipfox ru", ["run", "runs", "runners"]],
    ["shipfox runs ", ["list", "view", "watch", "cancel", "rerun"]],
    ["shipfox runs list --sta", ["--status"]],
    ["shipfox runs list --status s", ["succeeded"]],
    ["shipfox --context work runs re", ["rerun"]],
    ["shipfox runs list --workflow runs", []],
    ["shipfox admin users r", ["reactivate", "revoke-sessions", "role", "reset-link"]],
    ["shipfox completion ", ["bash", "zsh", "fish"]],
  ])("of %j offers %j", (line, offers) => expect(bashOffers(line).toSorted()).toEqual([...offers].toSorted()));

  it("offers the options that all commands have", () => {
    expect(bashOffers("shipfox whoami --")).toEqual(expect.arrayContaining(["--json", "--context", "--help"]));
  });
});

describe("the scripts", () => {
  it.each(["bash", "zsh", "fish"] as const)("for %s knows every command", (shell) => {
    for (const { path } of nodes.slice(1)) expect(SCRIPTS[shell]).toContain(`'${path}'`);
  });
});
