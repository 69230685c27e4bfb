import { rootKeysReplySchema, rotateRootKeyBodySchema } from "@shipfox/shared/api/root-key";
import { type Access, requireInstanceRole } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { KeyRing } from "./key-ring.ts";
import type { Reseal } from "./reseal.ts";

export interface RootKeyRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly ring: KeyRing;
  readonly reseal: Reseal;
  /** There is something to seal again. */
  readonly onRotated: (now: number) => void;
}

const TAG = "Instance";

export function createRootKeyRoutes(deps: RootKeyRoutesDeps): Route[] {
  const { store, clock, access, ring } = deps;
  return [
    route({
      method: "GET",
      path: "/admin/root-key",
      tag: TAG,
      summary: "The root keys by their names, and how many stored secrets each still opens",
      credential: "user",
      needs: "instance:read",
      responses: { 200: rootKeysReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        return { status: 200, body: await present(deps) };
      },
    }),
    route({
      method: "POST",
      path: "/admin/root-key/rotate",
      tag: TAG,
      summary: "Make a new root key; what the old ones sealed is sealed again in the background",
      credential: "user",
      needs: "instance:own",
      audit: "root_key.rotated",
      body: rotateRootKeyBodySchema,
      responses: { 202: rootKeysReplySchema },
      errors: ["forbidden", "root-key-configured", "root-key-ring-full"],
      handle: async ({ principal, body }) => {
        const now = clock.now();
        const revokeTokens = body.revoke_tokens;
        // Written down first: there is no transaction over the database and the file, and no change without its entry.
        await store.write(async (tx) => {
          await requireInstanceRole(access, tx, principal);
          await tx.audit(principal, {
            workspaceId: null,
            action: "root_key.rotated",
            target: { type: "root_key", id: ring.facts[0]?.keyId ?? null },
            details: { revoke_tokens: revokeTokens },
          });
        });
        ring.rotate({ now, revokeTokens });
        deps.onRotated(now);
        return { status: 202, body: await present(deps) };
      },
    }),
  ];
}

async function present({ ring, reseal }: RootKeyRoutesDeps) {
  const counts = await reseal.counts();
  const keys = ring.facts.map(({ keyId, replacedAt, tokens }) => ({
    key_id: keyId,
    replaced_at: replacedAt === null ? null : new Date(replacedAt).toISOString(),
    tokens,
    sealed: counts.get(keyId) ?? 0,
  }));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const opened = keys.reduce((sum, { sealed }) => sum + sealed, 0);
  return { source: ring.isConfigured ? "setting" : "file", keys, unopenable: total - opened };
}
