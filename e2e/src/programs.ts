import { fileURLToPath } from "node:url";

/** The root of the repository, without a slash at its end. */
export const REPOSITORY_ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The launchers that users start. */
export const CONTROL_PLANE = `${REPOSITORY_ROOT}/control-plane/bin/shipfox-control-plane`;
export const RUNNER = `${REPOSITORY_ROOT}/runner/bin/shipfox-runner`;
export const PROVISIONER = `${REPOSITORY_ROOT}/provisioner/bin/shipfox-provisioner`;
export const CLI = `${REPOSITORY_ROOT}/cli/bin/shipfox`;
