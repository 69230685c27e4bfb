import type { BootFile } from "./boot-files.ts";

/** The unit that a machine image brings for a runner of one job. */
export const START_RUNNER = ["systemctl", "start", "--no-block", "shipfox-runner-once.service"];

export interface CloudConfig {
  /** Written before the commands run: root's, and read by root only. */
  readonly files: readonly BootFile[];
  /** Argument lists that run early, before the files are there. */
  readonly early?: readonly (readonly string[])[];
  /** Argument lists, run in order by root when the machine is up. */
  readonly commands: readonly (readonly string[])[];
}

/** User data for cloud-init, as its documentation describes it. It is JSON, which is YAML. */
export function cloudConfig({ files, early = [], commands }: CloudConfig): string {
  const config = {
    preserve_hostname: false,
    ...(early.length === 0 ? {} : { bootcmd: early }),
    write_files: files.map(({ path, content }) => ({
      path,
      permissions: "0600",
      owner: "root:root",
      encoding: "b64",
      content: Buffer.from(content).toString("base64"),
    })),
    runcmd: commands,
  };
  return `#cloud-config\n${JSON.stringify(config)}\n`;
}
