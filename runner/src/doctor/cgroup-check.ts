import { access, readdir, readFile } from "node:fs/promises";
import { type Check, type Finding, ok, warn } from "@shipfox/shared/operate/check";

const V2_ROOTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] as const;

/** What the kernel offers to limit the jobs' resources and to kill whole trees of processes. */
export const cgroupCheck: Check = { name: "cgroups", run };

async function run(): Promise<Finding> {
  const own = await readFile("/proc/self/cgroup", "utf8").catch(() => "");
  const hasV1 = own.split("\n").some((line) => /^\d+:[a-z]/.test(line));
  const canKill = await hasKill(
    own
      .split("\n")
      .find((line) => line.startsWith("0::"))
      ?.slice("0::".length) ?? "",
  );
  const version = hasV1 ? "v1" : "v2";
  if (canKill === null)
    return warn(
      `${version}; whether it has cgroup.kill is unknown`,
      "Nothing needs to be done: the runner kills the processes of a job one by one where the kernel cannot.",
    );
  if (!canKill)
    return warn(
      `${version} without cgroup.kill`,
      "The runner kills the processes of a job one by one instead. With a kernel of 5.14 or newer and cgroup v2 it is a single call.",
    );
  return ok(`${version} with cgroup.kill`);
}

/** Whether the cgroup this process is in has `cgroup.kill`; the root of a tree has none. Null without a v2 tree. */
async function hasKill(ownPath: string): Promise<boolean | null> {
  for (const root of V2_ROOTS) {
    if (!(await exists(`${root}/cgroup.procs`)) || !(await exists(`${root}/cgroup.controllers`))) continue;
    if (ownPath !== "/" && ownPath !== "") return await exists(`${root}${ownPath}/cgroup.kill`);
    return await anyChildHasKill(root);
  }
  return null;
}

async function anyChildHasKill(root: string): Promise<boolean | null> {
  const children = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const child = children[0];
  return child === undefined ? null : await exists(`${root}/${child.name}/cgroup.kill`);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
