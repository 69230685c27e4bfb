/** What app.ts may use of provisioners. */
export { createProvisionerRoutes } from "./routes.ts";
