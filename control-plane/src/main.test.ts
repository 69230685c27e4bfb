import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";
import { expect, it, onTestFinished } from "vitest";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

const UNIT = new URL("../systemd/shipfox-control-plane.service", import.meta.url);

/** Starts the control plane with these variables and waits until it has ended by itself. */
async function startInVain(
  env: Record<string, string>,
  flags: readonly string[] = [],
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...flags], {
    env: { ...CODE_CACHE, PORT: "0", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

it("says in one line what is wrong with its data folder or its address, and what to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-start-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "file");
  writeFileSync(file, "");
  const cases: [env: Record<string, string>, message: RegExp, status?: number][] = [
    [{ SHIPFOX_DATA_DIR: "/proc/x/y" }, /the data folder \/proc\/x\/y cannot be made .*--data-dir\n$/],
    [{ SHIPFOX_DATA_DIR: join(file, "x") }, /cannot be made .*--data-dir\n$/],
    [{ SHIPFOX_DATA_DIR: file }, /is not a folder; choose another with --data-dir\n$/],
    [
      { SHIPFOX_DATA_DIR: join(folder, "new", "data"), HOST: "192.0.2.1" },
      /is no address of this machine.*--host\n$/,
      1,
    ],
  ];
  const ends = await Promise.all(
    cases.map(async ([env, message, status = 78]) => ({ message, status, ...(await startInVain(env)) })),
  );
  for (const { code, stderr, message, status } of ends) {
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(status);
  }
});

it("names a setting that is wrong, what was expected and what to do, and shows no secret", async () => {
  const folder = mkdtempSync(join(tmpdir(), "shipfox-start-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { code, stderr } = await startInVain({
    SHIPFOX_DATA_DIR: folder,
    SHIPFOX_ALLOW_SIGNUP: "yes",
    SHIPFOX_ALSO_LISTEN: "localhost:80",
    SHIPFOX_DATABASE_URL: "mysql://shipfox:hunter2@db/shipfox",
    SHIPFOX_ROOT_KEY_FILE: join(folder, "gone"),
  });
  expect(stderr).toContain('SHIPFOX_ALLOW_SIGNUP: expected true or false, but it is "yes" (');
  expect(stderr).toContain("SHIPFOX_DATABASE_URL: expected an address that begins with postgres://; unset it");
  expect(stderr).toContain(`SHIPFOX_ROOT_KEY_FILE: there is no file ${folder}/gone; make it`);
  expect(stderr).toContain("SHIPFOX_ALSO_LISTEN: expected addresses with a port such as 10.214.0.1:16101 or");
  expect(stderr).not.toContain("hunter2");
  expect(code).toBe(78);
  expect(readFileSync(UNIT, "utf8")).toMatch(/^RestartPreventExitStatus=64 78$/m);
});

it("names the flag that was meant", async () => {
  const { code, stderr } = await startInVain({}, ["--prot", "8080"]);
  expect(stderr).toBe("shipfox-control-plane: there is no flag --prot; did you mean --port? --help lists the flags\n");
  expect(code).toBe(64);
});

it.each([
  [["--port"], /^shipfox-control-plane: --port needs a value, such as --port=value; --help lists the flags\n$/],
  [
    ["--root-key", "x"],
    /^shipfox-control-plane: there is no flag --root-key, because everybody .* SHIPFOX_ROOT_KEY_FILE/,
  ],
  [
    ["stat"],
    /^shipfox-control-plane: unknown command "stat"; expected start, setup, recover, backup, verify, restore, migrate, admin, config or doctor, see --help\n$/,
  ],
])("tells a wrong command line %j from a server that cannot start", async (flags, message) => {
  const { code, stderr } = await startInVain({}, flags);
  expect(stderr).toMatch(message);
  expect(code).toBe(64);
});

it.each(["pipe", "socket"])(
  "serves and ends when its standard error is a %s that nobody reads",
  async (kind) => {
    const folder = mkdtempSync(join(tmpdir(), "shipfox-start-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const unread = kind === "pipe" ? openUnread(join(folder, "stderr")) : "pipe";
    const env = { ...CODE_CACHE, PORT: "0", SHIPFOX_DATA_DIR: join(folder, "data"), SHIPFOX_ACCESS_LOG: "true" };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "pipe", unread] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [announced] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const url = /http:\/\/\S+:\d+/.exec(announced.toString())?.[0] ?? "";
    for (let turn = 0; turn < 40; turn += 1)
      await Promise.all(Array.from({ length: 50 }, async () => (await fetch(`${url}/nowhere`)).arrayBuffer()));
    // That it stops is a line of the ordinary log.
    const stoppedAt = performance.now();
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(performance.now() - stoppedAt).toBeLessThan(9_500);
  },
  60_000,
);

function openUnread(path: string): number {
  execFileSync("sh", ["-c", 'mkfifo "$0"', path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, "w");
  onTestFinished(() => {
    closeSync(writer);
    closeSync(reader);
  });
  return writer;
}
