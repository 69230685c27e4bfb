import { z } from "zod";
import type { EventRepository } from "../../triggers/public.ts";
import { repositoryExternalId } from "./sources.ts";

const MAX_NAME_CHARS = 255;
const name = z.string().min(1).max(MAX_NAME_CHARS);
const commit = z.string().regex(/^[0-9a-f]{40}$/);
/** What a push has in place of a commit when it removes its branch. */
const NO_COMMIT = "0".repeat(40);

const repositorySchema = z.object({ id: z.int().positive(), full_name: name.nullable().catch(null) });
const actorSchema = z.object({ login: name });
const pullRequestSchema = z.object({
  number: z.int().positive(),
  head: z.object({ sha: commit }),
  updated_at: z.iso.datetime({ offset: true }).optional(),
});
const pushSchema = z.object({ ref: name, after: commit });

/** What an event says of the repository that it is about; null when it is about none. A part of another shape is not there. */
export function readRepository(body: Readonly<Record<string, unknown>>, receivedAt: number): EventRepository | null {
  const repository = repositorySchema.safeParse(body["repository"]).data;
  if (!repository) return null;
  const pullRequest = pullRequestSchema.safeParse(body["pull_request"]).data;
  const changedAt = Date.parse(pullRequest?.updated_at ?? "");
  const actor = actorSchema.safeParse(body["sender"]).data?.login ?? null;
  return {
    id: repositoryExternalId(repository.id),
    reference: { repository: repository.full_name, ...readCommit(body, pullRequest), actor },
    ...(pullRequest
      ? { subject: { name: `pull ${pullRequest.number}`, at: Number.isNaN(changedAt) ? receivedAt : changedAt } }
      : {}),
  };
}

function readCommit(
  body: Readonly<Record<string, unknown>>,
  pullRequest: z.infer<typeof pullRequestSchema> | undefined,
): { ref: string | null; commit: string | null } {
  if (pullRequest) return { ref: `refs/pull/${pullRequest.number}/head`, commit: pullRequest.head.sha };
  const push = pushSchema.safeParse(body).data;
  if (push) return { ref: push.ref, commit: push.after === NO_COMMIT ? null : push.after };
  return { ref: null, commit: null };
}
