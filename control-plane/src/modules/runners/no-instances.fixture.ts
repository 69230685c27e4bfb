import { ApiError } from "@shipfox/shared/errors";
import type { InstancesPort } from "./register.ts";

/** Where no provisioner has started anything. */
export const noInstances: InstancesPort = {
  judge: () => Promise.reject(new ApiError("unauthorized")),
  registered: () => Promise.resolve(false),
  describe: () => Promise.reject(new ApiError("unauthorized")),
};
