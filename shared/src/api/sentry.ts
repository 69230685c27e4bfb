import { z } from "zod";
import { id } from "./values.ts";

const MAX_CODE_CHARS = 512;

/** What Sentry adds to the address to which it sends the browser back, for the workspace that it was started for. */
export const sentryConnectBodySchema = z.object({
  workspace_id: id,
  code: z.string().min(1).max(MAX_CODE_CHARS),
  installation_id: id,
});
