import { z } from "zod";
import { nullableTimestamp } from "./values.ts";

const rootKeyFields = z.object({
  key_id: z.string().meta({ description: "Names the key, tells nothing of it" }),
  replaced_at: nullableTimestamp.meta({ description: "Null for the current key" }),
  tokens: z.boolean().meta({ description: "Whether tokens signed with it are good until they expire" }),
  sealed: z.int().meta({ description: "Stored secrets that only this key opens" }),
});

export const rootKeysReplySchema = z
  .object({
    source: z.enum(["file", "setting"]),
    keys: z.array(rootKeyFields).meta({ description: "The current one first" }),
    unopenable: z.int().meta({ description: "Stored secrets that none of the keys opens" }),
  })
  .meta({ id: "RootKeys" });

export const rotateRootKeyBodySchema = z.strictObject({
  revoke_tokens: z.boolean().default(false).meta({
    description: "Refuse at once all access tokens, runner sessions and leases of jobs that were signed before",
  }),
});

export type RootKeys = z.infer<typeof rootKeysReplySchema>;
