import type { Ability } from "@shipfox/shared/api/access-tokens";
import { ROLES, type Role } from "@shipfox/shared/api/workspaces";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Tx } from "../store/store.ts";
import { ABILITIES, roleHas } from "./abilities.ts";
import { type Access, ForbiddenError, requireAbility, requireInstanceRole, requireVisible } from "./access.ts";
import type { AccessTokenFacts, Caller, Need } from "./caller.ts";

const tx = {} as Tx;
const ABILITY_NAMES = Object.keys(ABILITIES) as Ability[];
const HERE = "the workspace";

function callerWho(needs: Need, token: AccessTokenFacts | null = null): Caller {
  const origin = { ip: "127.0.0.1", requestId: "r", userAgent: null, at: 0 };
  return { userId: "ada", refreshSessionId: null, token, needs, origin };
}

function memberAs(role: Role | null, instanceRole: string | null = null): Access {
  return {
    role: async (_tx, _user, workspace) => (workspace === HERE ? role : null),
    instanceRole: async () => instanceRole,
  };
}

const verdict = (check: Promise<unknown>) =>
  check.then(
    () => "allowed",
    (error: unknown) => (error instanceof ForbiddenError ? "forbidden" : (error as Error).message),
  );
const hidden = () => new Error("hidden") as never;

describe("abilities", () => {
  it("only grow from role to role", () => {
    for (const ability of ABILITY_NAMES) {
      const having = ROLES.map((role) => roleHas(role, ability));
      expect(having.toSorted((left, right) => Number(left) - Number(right))).toEqual(having);
    }
    expect(ABILITY_NAMES.filter((ability) => roleHas("viewer", ability))).toEqual(["projects:read", "runs:read"]);
  });

  it("of a token are those of its owner's role that it was minted with, in its own workspace", async () => {
    const token = fc.record({
      id: fc.constant("t"),
      workspaceId: fc.constantFrom(HERE, "another workspace"),
      abilities: fc.subarray(ABILITY_NAMES),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...ROLES, null),
        fc.constantFrom(...ABILITY_NAMES),
        fc.option(token),
        async (role, needed, held) => {
          const knows = role !== null && (held === null || held.workspaceId === HERE);
          const may = knows && roleHas(role, needed) && (held === null || held.abilities.includes(needed));
          const caller = callerWho(needed, held);
          expect(await verdict(requireAbility(memberAs(role), tx, caller, HERE))).toBe(may ? "allowed" : "forbidden");
          expect(await verdict(requireVisible(memberAs(role), tx, caller, HERE, hidden))).toBe(
            may ? "allowed" : knows ? "forbidden" : "hidden",
          );
        },
      ),
    );
  });

  it("do not make an administrator of the server, whose own roles include the weaker ones", async () => {
    const needs = ["instance:read", "instance:operate", "instance:own"] as const;
    for (const [rank, role] of [null, "admin-observer", "admin-operator", "admin-owner"].entries()) {
      const verdicts = needs.map((need) => verdict(requireInstanceRole(memberAs("owner", role), tx, callerWho(need))));
      expect(await Promise.all(verdicts)).toEqual(needs.map((_, at) => (at < rank ? "allowed" : "forbidden")));
    }
  });
});
