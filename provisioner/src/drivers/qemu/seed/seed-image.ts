import { bootArchive } from "../../boot-archive.ts";
import type { BootFile } from "../../boot-files.ts";
import { cloudConfig, START_RUNNER } from "../../cloud-config.ts";
import { fatImage } from "./fat-image.ts";

/** By this label cloud-init finds its NoCloud disk. */
const NOCLOUD_LABEL = "CIDATA";
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

/** A disk for cloud-init's NoCloud data source, as its documentation describes it. */
export function nocloudSeed({ instance, hostName, files }: Seed): Buffer {
  const userData = cloudConfig({ files, commands: [WIPE_COMMAND, START_RUNNER] });
  const metaData = { "instance-id": instance, "local-hostname": hostName };
  return fatImage(NOCLOUD_LABEL, [
    { name: "user-data", content: Buffer.from(userData) },
    { name: "meta-data", content: Buffer.from(`${JSON.stringify(metaData)}\n`) },
  ]);
}
