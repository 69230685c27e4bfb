/** What app.ts may use of variables. */
export { readVariables, resolveModel } from "./resolve-model.ts";
export { createVariableRoutes } from "./routes.ts";
