import { DescribeImagesCommand, type Image } from "@aws-sdk/client-ec2";
import { codeOf, type Ec2Api } from "./ec2-api.ts";
import type { ImageDisks } from "./run-instances.ts";

/** Null when there is no such image in the region, or none that this account may use. */
export async function findImage(api: Ec2Api, id: string, signal: AbortSignal): Promise<Image | null> {
  try {
    const { Images } = await api.call("look at an image", { signal }, (client, options) =>
      client.send(new DescribeImagesCommand({ ImageIds: [id] }), options),
    );
    return Images?.[0] ?? null;
  } catch (error) {
    if (["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"].includes(codeOf(error) ?? "")) return null;
    throw error;
  }
}

export function disksOf({ RootDeviceName = "", BlockDeviceMappings = [] }: Image): ImageDisks {
  const devices = BlockDeviceMappings.flatMap(({ DeviceName, Ebs }) => (DeviceName && Ebs ? [DeviceName] : []));
  return { rootDevice: RootDeviceName, devices };
}

export function missingImage(id: string): string {
  return `there is no image ${id} in this region that this account may use`;
}
