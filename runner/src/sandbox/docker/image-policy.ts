import { type ImageReference, parseImageReference } from "@shipfox/shared/image-reference";
import type { PullPolicy } from "@shipfox/shared/machine";
import { SandboxError } from "../sandbox-error.ts";
import { isOutOfReach, isRegistryFault } from "./pull-failure.ts";

/** Who wants fewer pulls wins over who wants more, and who wants fresh images over who wants none of both. */
export function stricterPolicy(operator: PullPolicy, workflow: PullPolicy | undefined): PullPolicy {
  for (const policy of ["never", "always"] as const) if (operator === policy || workflow === policy) return policy;
  return "if-not-present";
}

/** Whether the operator lets every job use this image as it is on the machine. `*` at the end of an entry is any rest. */
export function isLocalImage(image: ImageReference, entries: readonly string[]): boolean {
  return entries.some((entry) => {
    if (!entry.endsWith("*")) return parseImageReference(entry).full === image.full;
    const start = entry.slice(0, -1);
    const forms = [
      image.full,
      withoutPrefix(image.full, "docker.io/"),
      withoutPrefix(image.full, "docker.io/library/"),
    ];
    return forms.some((form) => form?.startsWith(start));
  });
}

function withoutPrefix(text: string, prefix: string): string | null {
  return text.startsWith(prefix) ? text.slice(prefix.length) : null;
}

/**
 * What a failure at a registry means: `image_unavailable` is an answer and the workflow's to correct, `registry_unavailable`
 * may be another one later. Faults of the engine itself pass through.
 */
export function registryFault(error: unknown, image: ImageReference, hadCredential: boolean): SandboxError {
  if (error instanceof SandboxError && PASSED.has(error.reason)) return error;
  const detail = error instanceof Error ? error.message : String(error);
  if (isRegistryFault(error)) {
    const message = `The registry of the image ${image.full} let the runner down. (${detail})`;
    return new SandboxError("registry_unavailable", message, { cause: error });
  }
  if (isOutOfReach(error)) {
    const message =
      `The registry ${image.registry} of the image ${image.full} cannot be reached. Check its name, and that this machine reaches it. ` +
      `${MADE_HERE} (${detail})`;
    return new SandboxError("image_unavailable", message, { cause: error });
  }
  const advice = hadCredential
    ? "Check the name, and the rights of the credential that the workspace has for this registry."
    : `Check the name and the registry. A private image needs a credential: shipfox registries add ${image.registry}. ` +
      MADE_HERE;
  const message = `The registry does not have the image ${image.full}, or not for this project. ${advice} (${detail})`;
  return new SandboxError("image_unavailable", message, { cause: error });
}

const MADE_HERE =
  "An image that was made on this machine must be listed in SHIPFOX_RUNNER_LOCAL_IMAGES; the runner's own is made by scripts/sandbox-image.";

const PASSED: ReadonlySet<string> = new Set(["docker_unavailable", "disk_full"]);
