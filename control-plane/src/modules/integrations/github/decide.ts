import { z } from "zod";

const repository = z.object({ id: z.int(), default_branch: z.string().optional() });
const pushSchema = z.object({ ref: z.string(), deleted: z.boolean().optional(), repository });
const repositoryEventSchema = z.object({ repository });
const installationRepositoriesSchema = z.object({
  repositories_added: z.array(z.object({ id: z.int() })).default([]),
  repositories_removed: z.array(z.object({ id: z.int() })).default([]),
});
const login = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/);
const renameSchema = z.object({
  action: z.literal("renamed"),
  account: z.object({ login }),
  changes: z.object({ login: z.object({ from: z.string() }) }),
});
const installationSchema = z.object({ action: z.string() });

/** Numbers of the repositories whose workflows may be others after an event. A body of another shape is none. */
export function repositoriesToSync(event: string, body: unknown): number[] {
  switch (event) {
    case "push": {
      const push = pushSchema.safeParse(body).data;
      const isDefault = push?.ref === `refs/heads/${push?.repository.default_branch}`;
      return push && isDefault && push.deleted !== true ? [push.repository.id] : [];
    }
    // Renamed, moved, another default branch, gone: a sync sees what is true now, and says what is wrong.
    case "repository": {
      const changed = repositoryEventSchema.safeParse(body).data;
      return changed ? [changed.repository.id] : [];
    }
    case "installation_repositories": {
      const changed = installationRepositoriesSchema.safeParse(body).data;
      return changed ? [...changed.repositories_added, ...changed.repositories_removed].map(({ id }) => id) : [];
    }
    default:
      return [];
  }
}

export interface ConnectionChange {
  readonly lifecycleStatus: string;
  /** The account has another name now. */
  readonly login: { readonly before: string; readonly now: string } | null;
}

/** What an event makes of its connection; null for nothing. One that somebody disabled stays disabled. */
export function decideConnection(status: string, event: string, body: unknown): ConnectionChange | null {
  if (event === "installation_target") {
    const renamed = renameSchema.safeParse(body).data;
    if (!renamed) return null;
    return { lifecycleStatus: status, login: { before: renamed.changes.login.from, now: renamed.account.login } };
  }
  if (event !== "installation") return null;
  const action = installationSchema.safeParse(body).data?.action;
  const isGone = action === "deleted" || action === "suspend";
  if (isGone && status === "active") return { lifecycleStatus: "error", login: null };
  if (action === "unsuspend" && status === "error") return { lifecycleStatus: "active", login: null };
  return null;
}
