/** What app.ts may use of provisioners. */
export { DemandWaiters } from "./demand-waiters.ts";
export { runDueInstances } from "./due-instances.ts";
export { instancesPort } from "./enrol-instance.ts";
export { explainWithProvisioners } from "./explain.ts";
export { createInstanceRoutes } from "./instance-routes.ts";
export { createProvisionerMachineRoutes } from "./machine-routes.ts";
export { createProvisionerRoutes } from "./routes.ts";
