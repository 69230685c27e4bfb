import { describe, expect, it } from "vitest";
import { Masker } from "../logs/masking.ts";
import { parseEnvFile } from "./env-file.ts";
import { parseOutputs } from "./outputs.ts";
import { parsePathFile } from "./path-file.ts";

/** Longer than what a message shows of a line. */
const TOKEN = `eyJhbGciOiJIUzI1NiJ9.${"Zm9vYmFyYmF6".repeat(20)}`;
const masker = new Masker();
masker.add(TOKEN);

describe("what a step wrote where it does not belong", () => {
  it.each([
    ["a secret instead of an assignment", TOKEN],
    ["a secret as the name of a variable", `${TOKEN}=x`],
    ["a secret as the name of a block that does not end", `${TOKEN}<<END\nx`],
    ["a secret as the name of a block without a delimiter", `${TOKEN}<<`],
    ["a secret as a delimiter", `A<<${TOKEN}\nx`],
    ["a secret behind other text", `Bearer ${TOKEN}`],
  ])("is told without any part of it: %s", (_what, content) => {
    for (const parsed of [
      parseEnvFile(content, masker),
      parseOutputs(content, masker),
      parsePathFile(content, masker),
    ]) {
      expect(parsed).toMatchObject({ kind: "invalid", message: expect.stringContaining("***") });
      expect(JSON.stringify(parsed)).not.toContain(TOKEN.slice(0, 12));
    }
  });

  it("is the value of a variable for later steps as it was written", () => {
    expect(parseEnvFile(`TOKEN=${TOKEN}`, masker)).toEqual({ kind: "variables", variables: { TOKEN } });
  });
});
