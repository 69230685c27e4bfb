/** What app.ts may use of artifacts and caches. */
export { FileBlobStore } from "./file-blob-store.ts";
export { createArtifactRoutes } from "./routes.ts";
export { createMachineFileRoutes } from "./machine-routes.ts";
export { dropArtifactsOfRuns, reapBlobs, removeBlobsOfWorkspace } from "./reaper.ts";
export { Uploads } from "./uploads.ts";
