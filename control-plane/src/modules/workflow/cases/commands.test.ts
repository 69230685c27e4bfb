import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseWorkflow } from "../public.ts";
import { accepts, run, steps } from "./cases.fixture.ts";

const V = "${{ event.v }}";
const WARNING = "re-evaluating-command jobs.a.steps.0.run";

/** Where a value is one word and never code, and how the command looks then. */
const SAFE: readonly (readonly [command: string, script: string])[] = [
  [V, '"${__sf_0}"'],
  [`echo ${V}`, 'echo "${__sf_0}"'],
  [`echo a${V}b`, 'echo a"${__sf_0}"b'],
  [`echo "a ${V} b"`, 'echo "a ${__sf_0} b"'],
  [`echo 'a ${V} b'`, `echo 'a '"\${__sf_0}"' b'`],
  [`echo "'${V}'"`, `echo "'\${__sf_0}'"`],
  [`echo '"${V}"'`, `echo '"'"\${__sf_0}"'"'`],
  [`A=${V} make`, 'A="${__sf_0}" make'],
  [`export A=${V}`, 'export A="${__sf_0}"'],
  [`[ ${V} = a ]`, '[ "${__sf_0}" = a ]'],
  [`[[ ${V} == a ]]`, '[[ "${__sf_0}" == a ]]'],
  [`if test ${V}; then echo ${V}; fi`, 'if test "${__sf_0}"; then echo "${__sf_1}"; fi'],
  [`for i in ${V}; do echo $i; done`, 'for i in "${__sf_0}"; do echo $i; done'],
  [`case ${V} in a) echo b;; esac`, 'case "${__sf_0}" in a) echo b;; esac'],
  [`(cd ${V})`, '(cd "${__sf_0}")'],
  [`{ echo ${V}; }`, '{ echo "${__sf_0}"; }'],
  [`f() { echo ${V}; }`, 'f() { echo "${__sf_0}"; }'],
  [`echo x > ${V}`, 'echo x > "${__sf_0}"'],
  [`cat < ${V}`, 'cat < "${__sf_0}"'],
  [`cat <<< ${V}`, 'cat <<< "${__sf_0}"'],
  [`diff <(echo ${V}) b`, 'diff <(echo "${__sf_0}") b'],
  [`echo a | grep ${V} && echo b`, 'echo a | grep "${__sf_0}" && echo b'],
  [`echo $(date) ${V}`, 'echo $(date) "${__sf_0}"'],
  [`echo "$(date)" ${V}`, 'echo "$(date)" "${__sf_0}"'],
  [`echo \`date\` ${V}`, 'echo `date` "${__sf_0}"'],
  [`echo \${A:-b} ${V}`, 'echo ${A:-b} "${__sf_0}"'],
  [`echo $((1 + (2 * 3))) ${V}`, 'echo $((1 + (2 * 3))) "${__sf_0}"'],
  [`echo $[1 + 2] ${V}`, 'echo $[1 + 2] "${__sf_0}"'],
  [`echo $'a\\'b' ${V}`, `echo $'a\\'b' "\${__sf_0}"`],
  [`echo a#b ${V}`, 'echo a#b "${__sf_0}"'],
  [`# it's a comment\necho ${V}`, '# it\'s a comment\necho "${__sf_0}"'],
  [`echo \\" ${V}`, 'echo \\" "${__sf_0}"'],
  [`echo \\\n  ${V}`, 'echo \\\n  "${__sf_0}"'],
  [`echo ${V} # why`, 'echo "${__sf_0}" # why'],
  [`echo ${V}; cat <<END\na\nEND`, 'echo "${__sf_0}"; cat <<END\na\nEND'],
  [`echo "$HOME/${V}"`, 'echo "$HOME/${__sf_0}"'],
];

/** Where no quoting keeps a value from being read again: no run is created. */
const UNSAFE = [
  `echo $(echo ${V})`,
  `echo "$(echo ${V})"`,
  `echo "$(echo "${V}")"`,
  `echo \`echo ${V}\``,
  `echo \${A:-${V}}`,
  `echo "\${A:-${V}}"`,
  `echo \${A/${V}/b}`,
  `echo $((${V} + 1))`,
  `echo $[${V} + 1]`,
  `echo $'${V}'`,
  `echo $"${V}"`,
  `echo \\${V}`,
  `echo "\\${V}"`,
  `cat <<END\n${V}\nEND`,
  `cat <<'END'\n${V}\nEND`,
  `cat <<-END\n\t${V}\n\tEND`,
  `cat <<END\na\nEND\necho ${V}`,
  `true # ${V}`,
  `# ${V}`,
  `a=1;# ${V}`,
  `echo $(case a in a) echo ${V};; esac)`,
  `x="$(case a in a) echo b;; esac)"; echo ${V}`,
];

/** Commands that read a value as code however it is quoted: a warning, and the author decides. */
const READ_AS_CODE = [
  `eval ${V}`,
  `eval "${V}"`,
  `eval "echo ${V}"`,
  `sh -c ${V}`,
  `bash -c "${V}"`,
  `bash -euxc '${V}'`,
  `sudo sh -c ${V}`,
  `env A=b bash -c ${V}`,
  `source ${V}`,
  `. ${V}`,
  `let a=${V}`,
  `declare -i a=${V}`,
  `typeset -i a=${V}`,
  `awk ${V} f`,
  `jq ${V} f`,
  `sed ${V} f`,
  `cat f | jq ".a = ${V}"`,
  `ls | xargs sh -c ${V}`,
  `trap ${V} EXIT`,
  `if eval ${V}; then :; fi`,
  `true && eval ${V}`,
  `(eval ${V})`,
  `! eval ${V}`,
  `((${V} > 3))`,
  `(( a = ${V} ))`,
  `for ((i = 0; i < ${V}; i++)); do :; done`,
  `[[ ${V} -eq 3 ]]`,
  `[[ "${V}" -lt 3 ]]`,
  `[[ 3 -gt ${V} ]]`,
  `a[${V}]=b`,
];
const NOT_READ_AS_CODE = [
  `echo eval ${V}`,
  `echo "eval" ${V}`,
  `sh script.sh ${V}`,
  `bash script.sh ${V}`,
  `evaluate ${V}`,
  `declare a=${V}`,
  `eval true; echo ${V}`,
  `eval true\necho ${V}`,
  `grep '((' ${V}`,
  `[[ ${V} == *-eq* ]]`,
  `echo [[ ${V} -eq ]]`,
  `[ ${V} -eq 3 ]`,
  `ls a[${V}]`,
  `python3 script.py ${V}`,
  `git commit -m ${V}`,
  `docker build --build-arg A=${V} .`,
];

const scriptOf = (command: string) => {
  const result = parseWorkflow(run(command));
  const step = result.ok ? result.model.jobs[0]?.steps[0] : undefined;
  return step?.type === "run" ? step : undefined;
};

describe("a value in a command", () => {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-commands-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  it.each(SAFE)("is one word: %s", (command, script) => {
    expect(scriptOf(command)).toMatchObject({ run: script });
    expect(scriptOf(command)).not.toHaveProperty("unsafeExpression");
  });
  it.each(SAFE)("is never code: %s", (command) => {
    const hostile = "$(echo HACKED >&2)`echo HACKED >&2`'; echo HACKED >&2; \"; echo HACKED >&2; #";
    const script = scriptOf(command)?.run ?? "";
    const found = execFileSync("bash", ["--norc", "-c", `{ ${script}\n} 2>&1 || true`], {
      // A redirection of the script writes a file.
      cwd: folder,
      env: { PATH: process.env["PATH"], __sf_0: hostile, __sf_1: hostile },
      stdio: ["ignore", "pipe", "pipe"],
    }).toString();
    expect(found).not.toMatch(/^HACKED$/m);
  });
  const unsafe = (command: string): [string, string, object, string] => [
    command,
    run(command).replace("run: ", "run: ‸"),
    { jobs: [{ steps: [{ unsafeExpression: "event.v" }] }] },
    WARNING,
  ];
  describe("has no safe place", () => {
    accepts(UNSAFE.map(unsafe));
  });
  describe("is read as code", () => {
    accepts(READ_AS_CODE.map((command) => [command, run(command).replace("run: ", "run: ‸"), {}, WARNING]));
  });
  describe("is read as a word", () => {
    accepts(NOT_READ_AS_CODE.map((command) => [command, run(command)]));
  });
  describe("is told of for each fault", () => {
    const command = steps("- run: ‸‸|\n    eval ${{ event.x }}\n    cat <<END\n    ${{ event.y }}\n    END");
    const model = { jobs: [{ steps: [{ unsafeExpression: "event.y" }] }] };
    accepts([["of both kinds in one command", command, model, WARNING, WARNING]]);
  });
  it("has a variable whose name nobody has taken", () => {
    const step = parseWorkflow(steps(`- { run: "echo $__sf_0 ${V}", env: { __sf_1: a } }`));
    expect(step).toMatchObject({ model: { jobs: [{ steps: [{ run: 'echo $__sf_0 "${__sf_2}"' }] }] } });
  });
});
