import { bootArchive } from "../../boot-archive.ts";
import type { BootFile } from "../../boot-files.ts";
import { fatImage } from "./fat-image.ts";

const SECRET_FILE_MODE = 0o600;
/** By this label cloud-init finds its NoCloud disk. */
const NOCLOUD_LABEL = "CIDATA";
const START_COMMAND = ["systemctl", "start", "--no-block", "shipfox-runner-once.service"];
/** Once read, the seed holds nothing any more: it can be written to only by the guest's root. */
const WIPE_COMMAND = ["sh", "-c", "dd if=/dev/zero of=/dev/disk/by-id/virtio-shipfox-seed bs=64k oflag=direct || :"];

/** What a machine gets to read when it starts. */
export interface Seed {
  readonly instance: string;
  readonly hostName: string;
  readonly files: readonly BootFile[];
}

/** A disk that is nothing but a tar archive: `tar -x -f /dev/disk/by-id/virtio-shipfox-seed -C /` puts each file in its place. */
export async function tarSeed({ hostName, files }: Seed): Promise<Buffer> {
  return bootArchive([...files, { path: "/etc/hostname", mode: 0o644, content: `${hostName}\n` }]);
}

/** A disk for cloud-init's NoCloud data source, as its documentation describes it; its user data is JSON, which is YAML. */
export function nocloudSeed({ instance, hostName, files }: Seed): Buffer {
  const userData = {
    preserve_hostname: false,
    write_files: files.map(({ path, content }) => ({
      path,
      permissions: `0${SECRET_FILE_MODE.toString(8)}`,
      owner: "root:root",
      encoding: "b64",
      content: Buffer.from(content).toString("base64"),
    })),
    runcmd: [WIPE_COMMAND, START_COMMAND],
  };
  const metaData = { "instance-id": instance, "local-hostname": hostName };
  return fatImage(NOCLOUD_LABEL, [
    { name: "user-data", content: Buffer.from(`#cloud-config\n${JSON.stringify(userData, null, 1)}\n`) },
    { name: "meta-data", content: Buffer.from(`${JSON.stringify(metaData)}\n`) },
  ]);
}
