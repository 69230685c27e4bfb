import { describe, expect, it } from "vitest";
import { useStage } from "./src/stage.ts";
import { UserTerminal } from "./src/user-terminal.ts";

const SIZE = { columns: 100, rows: 24 };
const SHELLS = {
  bash: ["bash --norc --noprofile", "source <(shipfox completion bash)"],
  zsh: ["zsh -f", "autoload -U compinit; compinit -D -u; source <(shipfox completion zsh)"],
  fish: ["fish --no-config", "shipfox completion fish | source"],
} as const;

describe("the completion of a shell that a person types in", () => {
  const stage = useStage();

  it.each(["bash", "zsh", "fish"] as const)("knows commands, options and values: %s", async (shell) => {
    const [start, load] = SHELLS[shell];
    const terminal = await UserTerminal.open(stage, SIZE);
    await terminal.enter(start);
    // As it is typed the word stands there in two parts.
    await terminal.enter(`${load}; echo load""ed`);
    await terminal.shows(/loaded/);
    for (const [typed, completed] of [
      ["shipfox runs wat", "shipfox runs watch"],
      ["shipfox runs list --stat", "shipfox runs list --status"],
      ["shipfox runs list --status ca", "shipfox runs list --status cancelled"],
    ] as const) {
      await terminal.type(typed);
      await terminal.press("Tab");
      expect((await terminal.shows(new RegExp(`${completed}(?!\\w)`))).join("\n")).toContain(completed);
      await terminal.press("C-u");
    }
  });
});
