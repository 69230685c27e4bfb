import fc from "fast-check";
import { expect, it } from "vitest";
import { isUntrusted } from "./trust.ts";

const repository = { id: 1 };
const pull = (head: unknown, author = "MEMBER") => ({
  repository,
  pull_request: { base: { repo: { id: 1 } }, head, author_association: author },
});

it.each([
  ["a push", "push", { repository }],
  ["a tag or a release", "release", { repository, action: "published" }],
  ["a pull request of a member from a branch", "pull_request", pull({ repo: { id: 1 } })],
  [
    "a review of an owner",
    "pull_request_review",
    { ...pull({ repo: { id: 1 } }), review: { author_association: "OWNER" } },
  ],
  [
    "a comment of a collaborator on a member's issue",
    "issue_comment",
    { issue: { author_association: "MEMBER" }, comment: { author_association: "COLLABORATOR" } },
  ],
  [
    "a run of the repository's own workflow",
    "workflow_run",
    { repository, workflow_run: { head_repository: { id: 1 } } },
  ],
  ["a change of the installation", "installation", { action: "created" }],
])("trusts %s", (_, event, body) => {
  expect(isUntrusted(event, body)).toBe(false);
});

it.each([
  ["a pull request from a fork", "pull_request", pull({ repo: { id: 2 } })],
  ["one from a fork that is gone", "pull_request", pull({ repo: null })],
  ["one whose head is missing", "pull_request", pull(undefined)],
  ["one whose numbers are no numbers", "pull_request", { pull_request: { base: { repo: {} }, head: { repo: {} } } }],
  ["one that a stranger opened from a branch that was there", "pull_request", pull({ repo: { id: 1 } }, "CONTRIBUTOR")],
  [
    "a member's review of a pull request from a fork",
    "pull_request_review",
    { ...pull({ repo: { id: 2 } }), review: { author_association: "OWNER" } },
  ],
  [
    "a stranger's comment on a member's issue",
    "issue_comment",
    { issue: { author_association: "OWNER" }, comment: { author_association: "NONE" } },
  ],
  ["a member's label on a stranger's issue", "issues", { issue: { author_association: "FIRST_TIMER" } }],
  ["an association in another form", "issues", { issue: { author_association: ["OWNER"] } }],
  ["a star, which everybody can give", "star", { repository }],
  ["a check of a commit that may be a fork's", "check_run", { repository }],
  ["a workflow's run on a fork", "workflow_run", { repository, workflow_run: { head_repository: { id: 2 } } }],
  ["an event that is not known", "something_new", { repository }],
])("does not trust %s", (_, event, body) => {
  expect(isUntrusted(event, body)).toBe(true);
});

it("never trusts a pull request whose head is not known to be in its base, whatever else the body says", () => {
  fc.assert(
    fc.property(fc.object(), fc.anything(), fc.string(), (rest, head, event) => {
      const inside = typeof head === "object" && head !== null && "repo" in head;
      fc.pre(!inside);
      expect(isUntrusted(event, { ...rest, ...pull(head) })).toBe(true);
    }),
  );
});
