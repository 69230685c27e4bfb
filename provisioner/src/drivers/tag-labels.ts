import type { InstanceTags } from "./driver.ts";

const PREFIX = "io.shipfox.provisioner";

/** For people. */
export const TEMPLATE_LABEL = `${PREFIX}.template`;

/** The labels by which a driver finds its machines again, where a provider has labels. */
export function labelsOf({ instance, ...owner }: InstanceTags): Record<string, string> {
  return { ...ownerLabels(owner), [`${PREFIX}.instance`]: instance };
}

/** What all machines of one owner have: the filter of lists. */
export function ownerLabels({ controller, pool }: Omit<InstanceTags, "instance">): Record<string, string> {
  return { [`${PREFIX}.controller`]: controller, [`${PREFIX}.pool`]: pool };
}

/** Null when one is missing or empty. */
export function tagsOf(labels: Readonly<Record<string, string>> | null | undefined): InstanceTags | null {
  const [controller, pool, instance] = ["controller", "pool", "instance"].map((key) => labels?.[`${PREFIX}.${key}`]);
  return controller && pool && instance ? { controller, pool, instance } : null;
}

export function sameTags(left: InstanceTags | null, right: InstanceTags): boolean {
  return left?.controller === right.controller && left.pool === right.pool && left.instance === right.instance;
}
