/** What app.ts may use of annotations. */
export { createAnnotationRoutes } from "./routes.ts";
