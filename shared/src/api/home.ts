import { z } from "zod";

export const homeReplySchema = z.object({
  name: z.string(),
  version: z.string(),
  docs: z.string(),
  needs_setup: z.boolean(),
});

export type Home = z.infer<typeof homeReplySchema>;
