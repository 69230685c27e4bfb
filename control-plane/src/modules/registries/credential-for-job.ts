import type { RegistryCredential } from "@shipfox/shared/machine";
import { ApiError } from "@shipfox/shared/errors";
import { parseImageReference } from "@shipfox/shared/image-reference";
import type { LeasePrincipal } from "../../http/route.ts";
import type { RegistryCredentialRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { requireLive } from "../dispatch/public.ts";
import type { Envelope, SealedColumn } from "../secrets/public.ts";
import { chooseCredential, namesImage } from "./model.ts";
import { credentialsOfHost, setupConfigText } from "./store.ts";

/** What a password is bound to when it is sealed. */
export function sealContext({ id, workspace_id }: Pick<RegistryCredentialRow, "id" | "workspace_id">) {
  return { workspaceId: workspace_id, name: `registry-credential/${id}` };
}

export const sealedPasswords: SealedColumn = {
  table: "registry_credentials",
  key: ["id"],
  column: "sealed_password",
  beside: ["workspace_id"],
  context: ({ id = "", workspace_id = "" }) => sealContext({ id, workspace_id }),
};

/**
 * What the leased job may show to the registry of `image`; null when the workspace has nothing for it. Throws
 * `lease-not-active` for a lease that ended and `not-found` for an image that the job does not name.
 */
export async function credentialForJob(
  deps: { readonly store: Store; readonly envelope: Envelope },
  lease: LeasePrincipal,
  image: string,
): Promise<RegistryCredential | null> {
  const row = await deps.store.read(async (tx) => {
    await requireLive(tx, lease);
    const config = await setupConfigText(tx, lease.executionId);
    if (config === null || !namesImage(config, image)) {
      throw new ApiError("not-found", "the job names no such image; ask only for the images of the job you hold");
    }
    const rows = await credentialsOfHost(tx, lease.workspaceId, parseImageReference(image).registry);
    return chooseCredential(rows, lease.projectId);
  });
  if (row === null) return null;
  return { username: row.username, password: deps.envelope.open(row.sealed_password, sealContext(row)) };
}
