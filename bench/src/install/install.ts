import { join } from "node:path";
import { execa } from "execa";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { openFolder } from "../stage.ts";
import { median } from "../statistics.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const COMPONENTS = ["control-plane", "runner", "provisioner", "cli"];
const FULL_ROUNDS = 5;
const BUILD_LIMIT_MS = 600_000;
const STEP_LIMIT_MS = 300_000;
const BOOT_TRIES = 100;
const IMAGE = "shipfox/systemd:1";
/** As little as systemd can do with as PID 1. */
const FLAGS =
  "--cap-add SYS_ADMIN --security-opt seccomp=unconfined --cgroupns private --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec --stop-signal SIGRTMIN+3";
/** The three commands of the README, with the sandbox that a machine without a Docker Engine has. */
const STEPS = {
  "1 install the control plane":
    "sh /srv/install.sh control-plane --from /srv --admin you@example.com >/root/said 2>&1",
  "2 add a runner": `sh -c "$(sed -n 's/^  curl/curl/p' /root/said) --sandbox host"`,
  "3 run hello": "shipfox run hello --follow",
};
const YARDSTICK = "the tarballs, unpacked";
const UNPACK = "for file in /srv/*.tar.gz; do tar -xzf $file -C /root/unpacked; done";
const PURGE = `for part in runner control-plane cli; do sh /srv/install.sh uninstall $part --purge; done
  rm -rf /root/.config/shipfox /root/unpacked; mkdir -p /root/unpacked`;

export const install: Bench = {
  name: "install",
  title: "From nothing to a green job",
  about: `The three commands of the README on a container with systemd and without anything of Shipfox, one after another; the release lies
in a folder of it, so nothing is downloaded but from the control plane there. Everything is removed between two rounds. The yardstick
is to unpack the tarballs of the release, each of which has a Node.`,
  needsDocker: true,
  run,
};

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const release = await openFolder(resources);
  say("building the release");
  const flags = COMPONENTS.flatMap((name) => ["--component", name]);
  await execa(join(ROOT, "scripts", "release"), ["--out", release, ...flags], { timeout: BUILD_LIMIT_MS });
  await execa(join(ROOT, "scripts", "systemd-image"), { timeout: BUILD_LIMIT_MS });
  const start = ["run", "--detach", "--rm", ...FLAGS.split(" "), "--volume", `${release}:/srv:ro`, IMAGE];
  const { stdout: machine } = await execa("docker", start);
  resources.defer(async () => void (await execa("docker", ["rm", "--force", "--volumes", machine])));
  const inside = (script: string) =>
    execa("docker", ["exec", machine, "sh", "-euc", script], { timeout: STEP_LIMIT_MS, cancelSignal: stop });
  await inside(
    `for try in $(seq ${BOOT_TRIES}); do systemctl is-system-running >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1`,
  );

  const times = new Map<string, number[]>();
  for (let round = 0; round < (quick ? 1 : FULL_ROUNDS); round++) {
    stop.throwIfAborted();
    await inside(PURGE);
    for (const [name, script] of Object.entries({ ...STEPS, [YARDSTICK]: UNPACK })) {
      const started = performance.now();
      await inside(script);
      times.set(name, [...(times.get(name) ?? []), performance.now() - started]);
    }
    say(`round ${round + 1} is over`);
  }
  return report(times);
}

function report(times: ReadonlyMap<string, readonly number[]>): BenchReport {
  const rounds = [...times.values()][0]?.length ?? 0;
  const sums = Array.from({ length: rounds }, (_, round) =>
    Object.keys(STEPS).reduce((sum, name) => sum + (times.get(name)?.[round] ?? 0), 0),
  );
  const unpacked = times.get(YARDSTICK) ?? [];
  const row = (name: string, values: readonly number[]) => [
    name,
    `${values.length}`,
    ...[Math.min(...values), median(values), Math.max(...values)].map((value) => (value / 1000).toFixed(1)),
  ];
  return {
    tables: [
      {
        header: ["seconds", "n", "min", "p50", "max"],
        rows: [...[...times].map(([name, values]) => row(name, values)), row("the three commands", sums)],
      },
    ],
    aims: [
      { what: "the three commands ÷ unpacking, p50", measured: median(sums) / median(unpacked), bound: { atMost: 6 } },
    ],
    notes: ["Without the time in which a person reads and types.", "The first command also installs the command line."],
  };
}
