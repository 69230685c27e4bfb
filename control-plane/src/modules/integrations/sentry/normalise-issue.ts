import { z } from "zod";

/** Sentry's words for what happened to an issue, as events are named. Others start nothing and are dropped. */
const ACTIONS = new Map([
  ["created", "created"],
  ["resolved", "resolved"],
  ["assigned", "assigned"],
  ["archived", "archived"],
  // The name that Sentry gave it before.
  ["ignored", "archived"],
  ["unresolved", "unresolved"],
]);
const DEFAULT_TITLE = "Untitled issue";

const text = z.string().nullable().catch(null);
const deliverySchema = z.object({
  action: z.string(),
  data: z.object({
    issue: z.object({
      id: z.union([z.string().min(1), z.int()]).transform(String),
      title: text,
      shortId: text,
      culprit: text,
      level: text,
      status: text,
      platform: text,
      web_url: text,
      url: text,
      project_url: text,
      firstSeen: text,
      lastSeen: text,
    }),
  }),
});

/** The payload of an event `issue.<action>`: the same keys whatever Sentry sends beside them. */
export interface IssuePayload extends Record<string, unknown> {
  readonly action: string;
  readonly issueId: string;
  readonly title: string;
  readonly shortId: string | null;
  readonly culprit: string | null;
  readonly level: string | null;
  readonly status: string | null;
  readonly platform: string | null;
  readonly webUrl: string | null;
  readonly issueUrl: string | null;
  readonly projectUrl: string | null;
  readonly firstSeenAt: string | null;
  readonly lastSeenAt: string | null;
}

/** Null for an action that no workflow can name, and for a body that is about no issue. */
export function normaliseIssue(body: unknown): IssuePayload | null {
  const parsed = deliverySchema.safeParse(body);
  const action = parsed.success ? ACTIONS.get(parsed.data.action) : undefined;
  if (!parsed.success || action === undefined) return null;
  const { issue } = parsed.data.data;
  return {
    action,
    issueId: issue.id,
    title: issue.title === null || issue.title === "" ? DEFAULT_TITLE : issue.title,
    shortId: issue.shortId,
    culprit: issue.culprit,
    level: issue.level,
    status: issue.status,
    platform: issue.platform,
    webUrl: issue.web_url,
    issueUrl: issue.url,
    projectUrl: issue.project_url,
    firstSeenAt: issue.firstSeen,
    lastSeenAt: issue.lastSeen,
  };
}
