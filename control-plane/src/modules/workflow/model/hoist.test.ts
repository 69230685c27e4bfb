import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitTemplate, type Template } from "../expressions/template.ts";
import { hoistExpressions } from "./hoist.ts";

/** As the parser reads `vars.KEY` and `secrets.KEY`. */
const templateOf = (text: string): Template =>
  splitTemplate(text).pieces.map((piece) => {
    if (piece.kind === "literal") return piece;
    const [root, key = ""] = piece.source.split(".");
    return root === "vars" ? { kind: "variable", key } : { kind: "secret", store: "local", key };
  });
const hoist = (text: string, taken: string[] = []) => hoistExpressions(templateOf(text), new Set(taken));
const VALUE = "${{ vars.A }}";

describe("an expression in a command", () => {
  it.each([
    [`echo ${VALUE}`, 'echo "${__sf_0}"'],
    [`echo a${VALUE}b`, 'echo a"${__sf_0}"b'],
    [`echo "a ${VALUE} b"`, 'echo "a ${__sf_0} b"'],
    [`echo 'a ${VALUE} b'`, `echo 'a '"\${__sf_0}"' b'`],
    [`echo $(date) \`id\` \${X:-y} $((1 << 2)) ${VALUE}`, 'echo $(date) `id` ${X:-y} $((1 << 2)) "${__sf_0}"'],
    [`# comment\necho ${VALUE}`, '# comment\necho "${__sf_0}"'],
    [`echo a#b \\' "\\"" ${VALUE}`, 'echo a#b \\\' "\\"" "${__sf_0}"'],
    [`cat <<<${VALUE}`, 'cat <<<"${__sf_0}"'],
    [`(cd x && echo ${VALUE})`, '(cd x && echo "${__sf_0}")'],
  ])("is quoted as its place asks for: %s", (text, script) => {
    expect(hoist(text)).toMatchObject({ script, unsafe: [] });
  });

  it.each([
    `echo $(echo ${VALUE})`,
    `echo "$(echo "${VALUE}")"`,
    `echo \`echo ${VALUE}\``,
    `echo \${X:-${VALUE}}`,
    `echo $((1 + ${VALUE}))`,
    `echo $'a ${VALUE}'`,
    `echo $"a ${VALUE}"`,
    `cat <<EOF\n${VALUE}\nEOF`,
    `cat <<'EOF'\nx\nEOF\necho ${VALUE}`,
    `true # ${VALUE}`,
    `echo \\${VALUE}`,
    `echo "\\${VALUE}"`,
  ])("is unsafe where a value would be read again: %s", (text) => {
    expect(hoist(text).unsafe).toEqual([{ kind: "variable", key: "A" }]);
  });

  it("passes over names that are taken", () => {
    const { script, variables } = hoist(`echo $__sf_1 ${VALUE} \${{ secrets.B }}`, ["__sf_0"]);
    expect(script).toBe('echo $__sf_1 "${__sf_2}" "${__sf_3}"');
    expect(variables).toEqual({
      __sf_2: [{ kind: "variable", key: "A" }],
      __sf_3: [{ kind: "secret", store: "local", key: "B" }],
    });
  });

  it("is one word with the value as it is in bash, whatever the value and the quotes around it", () => {
    const hostile = fc.array(fc.constantFrom("$(id)", "`id`", "'", '"', "\\", " ", ";", "\n", "$HOME", "a", "*", "-n"));
    fc.assert(
      fc.property(hostile, fc.constantFrom("", '"', "'"), (parts, quote) => {
        const value = parts.join("");
        const { script, unsafe } = hoist(`printf '%s\\0' x${quote}${VALUE}${quote} end`);
        expect(unsafe).toEqual([]);
        const printed = execFileSync("bash", ["--norc", "-c", script], { env: { __sf_0: value } }).toString();
        expect(printed).toBe(`x${value}\0end\0`);
      }),
      { numRuns: 60 },
    );
  });

  it("is found in a hostile text in linear time", () => {
    for (const text of [
      `${VALUE} `.repeat(60_000),
      `\${{ vars${" ".repeat(900_000)}.a }}`,
      `\${{ '${"\\'".repeat(400_000)}`,
    ]) {
      expect(hoist(text).script.length).toBeLessThan(2_000_000);
    }
  });
});
