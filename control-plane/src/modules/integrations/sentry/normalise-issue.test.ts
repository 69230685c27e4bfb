import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normaliseIssue } from "./normalise-issue.ts";

const ISSUE = {
  id: "1170820242",
  shortId: "APP-A",
  title: "TypeError: x is undefined",
  culprit: "index.js",
  level: "error",
  status: "unresolved",
  platform: "javascript",
  web_url: "https://acme.sentry.io/issues/1170820242/",
  url: "https://sentry.io/api/0/organizations/acme/issues/1170820242/",
  project_url: "https://sentry.io/api/0/projects/acme/app/",
  firstSeen: "2026-04-04T18:17:18.320000Z",
  lastSeen: "2026-04-04T18:17:18.320000Z",
  metadata: { value: "not kept" },
};

describe("what happened to an issue", () => {
  it("has the same keys whatever Sentry sends", () => {
    expect(normaliseIssue({ action: "created", data: { issue: ISSUE }, actor: {} })).toEqual({
      action: "created",
      issueId: "1170820242",
      shortId: "APP-A",
      title: "TypeError: x is undefined",
      culprit: "index.js",
      level: "error",
      status: "unresolved",
      platform: "javascript",
      webUrl: ISSUE.web_url,
      issueUrl: ISSUE.url,
      projectUrl: ISSUE.project_url,
      firstSeenAt: ISSUE.firstSeen,
      lastSeenAt: ISSUE.lastSeen,
    });
    expect(normaliseIssue({ action: "ignored", data: { issue: { id: 7, level: 3 } } })).toEqual({
      action: "archived",
      issueId: "7",
      title: "Untitled issue",
      shortId: null,
      culprit: null,
      level: null,
      status: null,
      platform: null,
      webUrl: null,
      issueUrl: null,
      projectUrl: null,
      firstSeenAt: null,
      lastSeenAt: null,
    });
  });

  it.each(["created", "resolved", "assigned", "archived", "unresolved"])("is named %s", (action) => {
    expect(normaliseIssue({ action, data: { issue: ISSUE } })?.action).toBe(action);
  });

  it("is nothing for other actions and other bodies", () => {
    for (const action of ["deleted", "__proto__", "constructor", ""]) {
      expect(normaliseIssue({ action, data: { issue: ISSUE } })).toBeNull();
    }
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        expect(normaliseIssue(body)).toBeNull();
      }),
    );
  });
});
