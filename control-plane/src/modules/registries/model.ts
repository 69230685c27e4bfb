import type { StoredRegistryCredential } from "@shipfox/shared/api/registries";
import { parseImageReference } from "@shipfox/shared/image-reference";
import { setupConfigSchema } from "@shipfox/shared/machine";
import type { RegistryCredentialRow } from "../../store/schema.ts";

/** The credential for a project among those of one host, newest first: one made for the project, else one for all. */
export function chooseCredential(
  rows: readonly RegistryCredentialRow[],
  projectId: string,
): RegistryCredentialRow | null {
  const own = rows.find((row) => projectsOf(row)?.includes(projectId));
  return own ?? rows.find((row) => row.project_ids === null) ?? null;
}

/** Whether a job names the image, for itself or for a service, in whatever form of the same reference. */
export function namesImage(setupConfig: string, image: string): boolean {
  const config = setupConfigSchema.parse(JSON.parse(setupConfig));
  const named = [config.image, ...(config.services ?? []).map((service) => service.image)];
  const wanted = parseImageReference(image).full;
  return named.some((reference) => reference !== undefined && parseImageReference(reference).full === wanted);
}

export function presentCredential(row: RegistryCredentialRow): StoredRegistryCredential {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    host: row.host,
    username: row.username,
    project_ids: projectsOf(row),
    created_at: new Date(row.created_at).toISOString(),
  };
}

function projectsOf(row: RegistryCredentialRow): string[] | null {
  return row.project_ids === null ? null : (JSON.parse(row.project_ids) as string[]);
}
