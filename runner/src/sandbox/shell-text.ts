/** The shell text that starts a step, the same for every sandbox and both ways of `exec`. Plain POSIX: `sh` may be busybox. */

export interface Launch {
  /** Set before the script starts. */
  env: Readonly<Record<string, string>>;
  /** Folders put before PATH. */
  path: readonly string[];
  /** Relative to the folder in which the launching shell already is, or absolute; null stays there. */
  workingDirectory: string | null;
  /** The script as the step sees it. */
  scriptPath: string;
}

/**
 * One compound command, so that a shell which receives only half of it runs none of it. It ends in `exec`: the process that
 * the engine watches becomes the user's shell, with its exit code and nothing on its standard input.
 */
export function launchText(launch: Launch): string {
  const variables = Object.entries(launch.env);
  const exports = variables
    .filter(([name]) => isShellName(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`);
  // A shell cannot export a name like `a.b`, but it hands on what `env` sets.
  const others = variables
    .filter(([name]) => !isShellName(name))
    .map(([name, value]) => ` ${quote(`${name}=${value}`)}`);
  const env = others.length === 0 ? "" : `env${others.join("")} `;
  const script = quote(launch.scriptPath);
  return [
    "{",
    // A waiting shell has one, for the case that it is never given a step.
    "trap - 0",
    ...exports,
    ...extendPath(launch.path),
    ...changeDirectory(launch.workingDirectory),
    "if command -v bash >/dev/null 2>&1; then",
    `exec ${env}bash --noprofile --norc -eo pipefail ${script} </dev/null`,
    "else",
    `exec ${env}sh -e ${script} </dev/null`,
    "fi",
    "}",
    "",
  ].join("\n");
}

function extendPath(folders: readonly string[]): string[] {
  return folders.length === 0 ? [] : [`export PATH=${quote(folders.join(":"))}"\${PATH:+:$PATH}"`];
}

function changeDirectory(directory: string | null): string[] {
  if (directory === null) return [];
  // A leading dash would be an option, and CDPATH or "-" would go elsewhere.
  const path = directory.startsWith("/") ? directory : `./${directory}`;
  const complaint = `The working directory ${directory} does not exist or cannot be entered.`;
  return [`cd ${quote(path)} 2>/dev/null || { printf '%s\\n' ${quote(complaint)} >&2; exit 1; }`];
}

export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Other names can be variables too, but not of a shell. */
export function isShellName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

/** Exit code of `killTreeText` when a process of the job user is left that nothing could kill. */
export const TREE_ALIVE_EXIT_CODE = 3;

const KILL_ROUNDS = 50;
const POLLS_PER_SECOND = 10;

/**
 * Kills every process of the user who runs this text: SIGTERM, up to `graceMs` for all of them to go, SIGKILL until none is
 * left. `kill -1` reaches children that left their session, their parent and their environment behind, and in one system
 * call, so that a fork bomb cannot outrun it; it spares the caller, process 1 and other users. Zombies count as dead.
 */
export function killTreeText(graceMs: number): string {
  const polls = Math.ceil((graceMs * POLLS_PER_SECOND) / 1000);
  return [
    "pause() { sleep 0.1 2>/dev/null || sleep 1; }",
    // The subshells of `$(…)` and pipes would count as survivors: only built-in commands here.
    "alive() {",
    "  for folder in /proc/[0-9]*; do",
    "    pid=${folder#/proc/}",
    '    if [ "$pid" != "$$" ] && [ "$pid" != 1 ] && [ -O "$folder" ]; then',
    '      state=; while read -r key value rest; do [ "$key" = State: ] && state=$value && break; done 2>/dev/null <"$folder/status"',
    '      case $state in ""|Z|X) ;; *) return 0 ;; esac',
    "    fi",
    "  done 2>/dev/null",
    "  return 1",
    "}",
    `if [ ${polls} -gt 0 ]; then`,
    "  kill -TERM -1 2>/dev/null",
    `  n=0; while [ $n -lt ${polls} ] && alive; do pause; n=$((n+1)); done`,
    "fi",
    `n=0; while [ $n -lt ${KILL_ROUNDS} ]; do`,
    "  kill -KILL -1 2>/dev/null",
    "  alive || exit 0",
    "  pause; n=$((n+1))",
    "done",
    `exit ${TREE_ALIVE_EXIT_CODE}`,
  ].join("\n");
}
