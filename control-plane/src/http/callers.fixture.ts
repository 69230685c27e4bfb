import type { Ability } from "@shipfox/shared/api/access-tokens";
import { ROLES, type Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import type { Store } from "../store/store.ts";
import { TEST_ROOT_KEY, testTokens } from "../testing/api.ts";
import { insertMember, insertUser, insertWorkspace } from "../testing/rows.ts";
import { ABILITIES, isAbility, roleHas } from "./abilities.ts";
import type { Need } from "./caller.ts";
import { SignedTokens } from "./signed-tokens.ts";

const ALL_ABILITIES = Object.keys(ABILITIES) as Ability[];
const UNAUTHORIZED = [401];
const FORBIDDEN = [403];
/** By-id routes do not tell strangers what exists. */
const FORBIDDEN_OR_HIDDEN = [403, 404];
const LEASE_SECONDS = 600;

export interface OtherCaller {
  /** For the message of a failed test. */
  readonly who: string;
  readonly token: string | null;
  /** The statuses that this caller may be answered. */
  readonly statuses: readonly number[];
}

/** Everybody who might call a route of users beside the owner of the workspace: who must be refused, and who may just do it. */
export class Callers {
  readonly #store: Store;
  readonly #members = new Map<Role, string>();
  #strangers: OtherCaller[] = [];
  #tokens: { who: string; ability: Ability; token: string }[] = [];
  #fullToken: string | null = null;
  #weakest = new Map<Ability, string>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Lets one member of every role, tokens of every ability, and strangers with rights elsewhere, gather around a workspace. */
  async gather(workspaceId: string, ownerId: string): Promise<void> {
    for (const role of ROLES) this.#members.set(role, await insertMember(this.#store, workspaceId, role));
    const outsider = await insertUser(this.#store);
    const wanderer = this.#members.get("owner") as string;
    const elsewhere = await insertWorkspace(this.#store, { [outsider]: "owner", [wanderer]: "owner" });
    this.#strangers = [
      { who: "an owner of another workspace", token: signIn(outsider), statuses: FORBIDDEN_OR_HIDDEN },
      {
        who: "an owner's token of another workspace",
        token: await this.#mint(wanderer, elsewhere, ALL_ABILITIES),
        statuses: FORBIDDEN_OR_HIDDEN,
      },
    ];
    this.#fullToken = await this.#mint(ownerId, workspaceId, ALL_ABILITIES);
    for (const ability of ALL_ABILITIES) {
      const who = `the owner's token with ${ability} alone`;
      this.#tokens.push({ who, ability, token: await this.#mint(ownerId, workspaceId, [ability]) });
      const member = this.#members.get(ABILITIES[ability][0]) as string;
      this.#weakest.set(ability, await this.#mint(member, workspaceId, [ability]));
    }
  }

  refused(need: Need): OtherCaller[] {
    const unknown = notSignedIn();
    const ended = { who: "somebody whose session has ended", token: signIn(newId()), statuses: UNAUTHORIZED };
    if (need === "identity") return [...unknown, ended];
    if (this.#fullToken === null) return need === "account" ? [...unknown, ended] : unknown;
    const full = { who: "the owner's token with all abilities", token: this.#fullToken, statuses: FORBIDDEN };
    if (need === "account") return [...unknown, ended, full];
    if (!isAbility(need)) return [...unknown, full, ...this.#membersWho(() => false)];
    return [
      ...unknown,
      ...this.#strangers,
      ...this.#membersWho((role) => roleHas(role, need)),
      ...this.#tokens
        .filter(({ ability }) => ability !== need)
        .map(({ who, token }) => ({ who, token, statuses: FORBIDDEN })),
    ];
  }

  /** A token with nothing but this ability, of a member whose role just has it. */
  weakest(need: Need): string | null {
    return isAbility(need) ? (this.#weakest.get(need) ?? null) : null;
  }

  #membersWho(may: (role: Role) => boolean): OtherCaller[] {
    return ROLES.filter((role) => !may(role)).map((role) => ({
      who: `a member with the role ${role}`,
      token: signIn(this.#members.get(role) as string),
      statuses: FORBIDDEN,
    }));
  }

  async #mint(userId: string, workspaceId: string, abilities: readonly Ability[]): Promise<string> {
    const token = newToken("pat");
    const sql =
      "insert into access_tokens (id, user_id, workspace_id, name, prefix, token_hash, abilities, created_at) values (?, ?, ?, 'Token', ?, ?, ?, 0)";
    const values = [newId(), userId, workspaceId, tokenPrefix(token), hashToken(token), JSON.stringify(abilities)];
    await this.#store.write((tx) => tx.run(sql, values));
    return token;
  }
}

function signIn(userId: string, tokens: SignedTokens = testTokens): string {
  return tokens.signUser({ userId, email: "user@example.com", name: null, refreshSessionId: newId() });
}

function notSignedIn(): OtherCaller[] {
  const id = newId();
  const past = new SignedTokens(TEST_ROOT_KEY, { userSeconds: -1, sessionSeconds: -1 });
  const ofRunner = { sessionId: id, workspaceId: id, runnerId: id };
  const ofJob = { projectId: id, runId: id, runAttemptId: id, runAttempt: 1, jobId: id, executionId: id };
  const step = { stepId: null, stepAttempt: null, fence: 1 };
  const tokens = {
    nobody: null,
    "somebody with nonsense": "nonsense",
    "somebody with an unknown token": newToken("pat"),
    "somebody whose token has expired": signIn(id, past),
    "a runner with its session": testTokens.signSession({ ...ofRunner, labels: ["linux"], maxClaims: null }),
    "a job with its lease": testTokens.signLease({ ...ofRunner, ...ofJob, ...step }, LEASE_SECONDS),
    "a runner with its credential": newToken("rt"),
    "somebody with a registration token": newToken("mrt"),
  };
  return Object.entries(tokens).map(([who, token]) => ({ who, token, statuses: UNAUTHORIZED }));
}
