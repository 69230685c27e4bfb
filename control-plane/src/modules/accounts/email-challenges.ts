import { createHmac, type KeyObject, randomInt } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { secretsEqual } from "@shipfox/shared/tokens";
import { addressBlock } from "../../http/client-address.ts";
import { DerivedKeys } from "../../http/derived-keys.ts";
import type { RootKeys } from "../../http/root-keys.ts";
import type { Clock } from "../../store/clock.ts";
import type { EmailChallengeRow, UserRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import type { Mail } from "../mail/public.ts";
import {
  consumeChallenge,
  countWrongCode,
  findLatestChallenge,
  insertChallenge,
  insertSend,
  lockChallenge,
  replaceCode,
  sendsSince,
} from "./challenge-store.ts";
import {
  CODE_LIFETIME_MS,
  type CodeVerdict,
  decideCode,
  decideResend,
  limited,
  RESEND_COOLDOWN_MS,
  retryAt,
  SEND_LIMITS,
  SENDS_MEMORY_MS,
} from "./email-challenge.ts";

const CODES = 100_000_000;
const CODE_DIGITS = 8;
const CODE_PURPOSE = "shipfox/email-challenge/v1";
const IDENTIFIER_PURPOSE = "shipfox/rate-limit-identifier/v1";

/** What has to be made before the transaction: a code and the mail that carries it. */
export interface CodeDraft {
  readonly id: string;
  readonly code: string;
  readonly letter: ReturnType<Mail["seal"]>;
  readonly email: string;
  readonly ip: string;
  readonly now: number;
}

export interface OpenChallenge {
  readonly id: string;
  readonly nextResendAt: number;
}

/**
 * Codes of eight digits, mailed to prove an address. A code is stored as a keyed hash, because there are few enough to
 * try them all against a plain one. A code outlives a rotation of the root key, unless tokens were revoked with it.
 */
export class EmailChallenges {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #mail: Mail;
  readonly #codeKeys: DerivedKeys;
  readonly #identifierKeys: DerivedKeys;

  constructor({ store, clock, mail, rootKeys }: { store: Store; clock: Clock; mail: Mail; rootKeys: RootKeys }) {
    this.#store = store;
    this.#clock = clock;
    this.#mail = mail;
    this.#codeKeys = new DerivedKeys(rootKeys, CODE_PURPOSE);
    this.#identifierKeys = new DerivedKeys(rootKeys, IDENTIFIER_PURPOSE);
  }

  draft(email: string, ip: string): CodeDraft {
    const now = this.#clock.now();
    const code = String(randomInt(CODES)).padStart(CODE_DIGITS, "0");
    const letter = this.#mail.seal(
      {
        to: email,
        subject: `${code} is your Shipfox code`,
        paragraphs: ["Type this code to prove that this address is yours. It is good for ten minutes."],
        code,
      },
      CODE_LIFETIME_MS,
    );
    return { id: newId(now), code, letter, email, ip, now };
  }

  /** The user's open challenge, mailed anew when it is time, or a new one. Throws 429 `email-challenge-limited`. */
  async open(tx: WriteTx, userId: string, draft: CodeDraft): Promise<OpenChallenge> {
    const latest = await findLatestChallenge(tx, userId);
    const verdict = latest && latest.consumed_at === null ? decideResend(latest, draft.now) : "expired";
    if (latest && verdict === "cooldown") return { id: latest.id, nextResendAt: latest.sent_at + RESEND_COOLDOWN_MS };
    if (latest && verdict === "send") return this.#sendAgain(tx, latest.id, draft);
    await this.#send(tx, draft);
    await insertChallenge(tx, {
      id: draft.id,
      user_id: userId,
      code_hash: this.#hash(draft.id, draft.code),
      sends: 1,
      wrong_codes: 0,
      sent_at: draft.now,
      expires_at: draft.now + CODE_LIFETIME_MS,
      consumed_at: null,
      created_at: draft.now,
    });
    return { id: draft.id, nextResendAt: draft.now + RESEND_COOLDOWN_MS };
  }

  /** Null when the challenge is not this user's. Throws the `email-challenge-…` that says why there is no other mail. */
  async resend(tx: WriteTx, userId: string, challengeId: string, draft: CodeDraft): Promise<OpenChallenge | null> {
    const challenge = await this.#lock(tx, userId, challengeId);
    if (!challenge || challenge.consumed_at !== null) return null;
    const verdict = decideResend(challenge, draft.now);
    if (verdict === "send") return this.#sendAgain(tx, challengeId, draft);
    if (verdict === "expired") throw new ApiError("email-challenge-expired");
    if (verdict === "exhausted") throw new ApiError("email-challenge-exhausted", undefined, { status: 400 });
    const details = { retry_at: new Date(challenge.sent_at + RESEND_COOLDOWN_MS).toISOString() };
    throw new ApiError("email-challenge-cooldown", undefined, { details });
  }

  /** Null when the challenge is not this user's. A wrong code counts, so the caller must not roll back. */
  async tryCode(
    tx: WriteTx,
    userId: string,
    { challengeId, code, now }: { challengeId: string; code: string; now: number },
  ): Promise<CodeVerdict | null> {
    const challenge = await this.#lock(tx, userId, challengeId);
    if (!challenge) return null;
    const isRight = this.#codeKeys.forTokens.some((key) =>
      secretsEqual(challenge.code_hash, hashCode(key, challengeId, code)),
    );
    const verdict = decideCode(challenge, isRight, now);
    if (verdict === "wrong") await countWrongCode(tx, challengeId);
    if (verdict === "right") await consumeChallenge(tx, challengeId, now);
    return verdict;
  }

  async #lock(tx: WriteTx, userId: string, challengeId: string): Promise<EmailChallengeRow | null> {
    const challenge = await lockChallenge(tx, challengeId, this.#store.sql.forUpdate);
    return challenge?.user_id === userId ? challenge : null;
  }

  async #sendAgain(tx: WriteTx, challengeId: string, draft: CodeDraft): Promise<OpenChallenge> {
    await this.#send(tx, draft);
    const hash = this.#hash(challengeId, draft.code);
    await replaceCode(tx, challengeId, { hash, now: draft.now, expiresAt: draft.now + CODE_LIFETIME_MS });
    return { id: challengeId, nextResendAt: draft.now + RESEND_COOLDOWN_MS };
  }

  async #send(tx: WriteTx, { email, ip, letter, now }: CodeDraft): Promise<void> {
    const identified = { destination: email, source: addressBlock(ip) };
    for (const rule of SEND_LIMITS) {
      const sent: number[] = [];
      for (const key of this.#identifierKeys.all)
        sent.push(...(await sendsSince(tx, rule.of, hashText(key, identified[rule.of]), now - rule.withinMs)));
      const at = retryAt(sent, rule, now);
      if (at !== null) throw limited(at, now);
    }
    const { current } = this.#identifierKeys;
    const hashes = { destination: hashText(current, email), source: hashText(current, identified.source) };
    await insertSend(tx, { id: letter.id, ...hashes, now }, now - SENDS_MEMORY_MS);
    await this.#mail.enqueue(tx, letter);
  }

  #hash(challengeId: string, code: string): string {
    return hashCode(this.#codeKeys.current, challengeId, code);
  }
}

function hashCode(key: KeyObject, challengeId: string, code: string): string {
  return hashText(key, `${challengeId}:${code}`);
}

function hashText(key: KeyObject, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

/** Whether this user still has to prove his address before he may sign in. */
export function mustVerify(user: UserRow, mail: Mail): boolean {
  return mail.isConfigured && user.email_verified_at === null;
}
