import { execFile } from "node:child_process";
import { getuid } from "node:process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { userData } from "./user-data.ts";

const TOKEN = "sf_ert_only-its-runner-may-read-this";

interface CloudConfig {
  readonly bootcmd: string[][];
  readonly write_files: { path: string; permissions: string; owner: string; encoding: string; content: string }[];
  readonly runcmd: string[][];
}

function configOf(runnerEnv: Record<string, string>): CloudConfig {
  const encoded = userData({ boot: { registrationToken: TOKEN, runnerEnv }, maxLifetimeMs: 3_600_000 });
  const [first, ...rest] = Buffer.from(encoded, "base64").toString("utf8").split("\n");
  expect(first).toBe("#cloud-config");
  return JSON.parse(rest.join("\n")) as CloudConfig;
}

it("puts the boot files where only root reads them, and then starts the runner", () => {
  const { write_files: files, runcmd } = configOf({ SHIPFOX_API_URL: "https://ci.example.com" });
  const closed = { permissions: "0600", owner: "root:root", encoding: "b64" };
  expect(files.map(({ content, ...file }) => [file, Buffer.from(content, "base64").toString("utf8")])).toEqual([
    [
      { path: "/etc/shipfox/runner.env", ...closed },
      "SHIPFOX_API_URL=https://ci.example.com\nSHIPFOX_RUNNER_MACHINE_NOTICE=ec2\n" +
        "SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=/etc/shipfox/registration-token\n",
    ],
    [{ path: "/etc/shipfox/registration-token", ...closed }, `${TOKEN}\n`],
  ]);
  expect(runcmd).toEqual([["systemctl", "start", "--no-block", "shipfox-runner-once.service"]]);
});

it("sets the end of the machine's life before anything else of it runs", () => {
  expect(configOf({}).bootcmd[1]?.join(" ")).toBe(
    "systemd-run --no-block --unit=shipfox-lifetime --on-active=3600s systemctl poweroff --force",
  );
});

it.runIf(getuid?.() === 0)("closes the metadata service to everybody but root", async () => {
  const [close = []] = configOf({}).bootcmd;
  const look = 'for uid in 0 1 10001 4294967294; do echo "$uid: $(ip route get 169.254.169.254 uid $uid 2>&1)"; done';
  const script = `ip link set lo up; ip route add default dev lo; ${look}; "$@"; echo closed; ${look}; ip route get 169.254.169.253 uid 10001`;
  const { stdout } = await promisify(execFile)("unshare", ["--net", "sh", "-ec", script, "sh", ...close]);
  const [before = "", after = ""] = stdout.split("closed\n");
  expect(before).not.toMatch(/denied/);
  expect(after).toMatch(/^0: 169\.254\.169\.254 dev lo/);
  for (const uid of [1, 10_001, 4_294_967_294]) expect(after).toContain(`${uid}: RTNETLINK answers: Permission denied`);
  expect(after).toMatch(/169\.254\.169\.253 dev lo/);
});

it("is refused in words when it is more than EC2 takes", () => {
  expect(() => configOf({ SHIPFOX_RUNNER_LABELS: "x".repeat(12_000) })).toThrow(
    /the settings of the runner make \d+ bytes of user data, and EC2 takes 16384/,
  );
});
