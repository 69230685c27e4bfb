/** What of a delivery's body counts for trust; everything else of it may be anything. */
type Body = Readonly<Record<string, unknown>>;

/** People who may write to the repository, as GitHub names them beside what they wrote. */
const WRITERS = new Set(["OWNER", "MEMBER", "COLLABORATOR"]);

/** Where a body shows who wrote something. */
const AUTHORED = ["pull_request", "issue", "comment", "review", "discussion", "answer"] as const;

/** Events that only somebody with write access can cause. Those of checks are not among them: they also come for commits of forks. */
const NEEDS_WRITE_ACCESS = new Set([
  "branch_protection_configuration",
  "branch_protection_rule",
  "create",
  "delete",
  "deploy_key",
  "deployment",
  "deployment_status",
  "installation",
  "installation_repositories",
  "label",
  "member",
  "merge_group",
  "milestone",
  "page_build",
  "public",
  "push",
  "release",
  "repository",
  "repository_dispatch",
  "repository_ruleset",
  "workflow_dispatch",
  "workflow_run",
]);

/**
 * Whether a stranger may have made what the event is about: a pull request from a fork, words of somebody without write
 * access, or an event that everybody can cause. In doubt it is. `event` is GitHub's name, without the action.
 */
export function isUntrusted(event: string, body: Body): boolean {
  if (isFromFork(body)) return true;
  const authors = AUTHORED.map((part) => at(body, part, "author_association")).filter((found) => found !== undefined);
  if (authors.some((author) => typeof author !== "string" || !WRITERS.has(author))) return true;
  return authors.length === 0 && !NEEDS_WRITE_ACCESS.has(event);
}

/** A head that is not known to be in the repository itself: also when the fork has been deleted since. */
function isFromFork(body: Body): boolean {
  if (body["pull_request"] !== undefined) {
    const base = at(body, "pull_request", "base", "repo", "id");
    const head = at(body, "pull_request", "head", "repo", "id");
    if (typeof base !== "number" || head !== base) return true;
  }
  if (body["workflow_run"] === undefined) return false;
  const own = at(body, "repository", "id");
  return typeof own !== "number" || at(body, "workflow_run", "head_repository", "id") !== own;
}

function at(value: unknown, ...path: string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}
