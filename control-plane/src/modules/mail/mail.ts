import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { Logger } from "@shipfox/shared/logger";
import PQueue from "p-queue";
import { DueLoop } from "../../due-loop.ts";
import type { Clock } from "../../store/clock.ts";
import type { MailRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import type { Envelope, SealedColumn } from "../secrets/public.ts";
import type { Letter } from "./letter.ts";
import { SendError, type Smtp } from "./smtp.ts";
import { deleteMail, insertMail, isQueueFull, nextDue, postpone, takeDue } from "./store.ts";

/** Mails that wait at most; a server that is down for days must not fill the database. */
const MAX_QUEUED = 10_000;
const BATCH = 20;
const MAX_CONCURRENT = 4;
/** Longer than one try can take; after a crash in the middle of one it is tried again then. */
const TAKEN_FOR_MS = 120_000;
const FIRST_RETRY_MS = 10_000;
const MAX_RETRY_MS = 30 * 60_000;
/** How long a stop waits for letters that are on their way. */
const STOP_WAIT_MS = 5_000;
const MAX_ERROR_CHARS = 300;
/** The envelope's context of every letter; none belongs to a workspace. */
const CONTEXT = "mail";

export const sealedLetters: SealedColumn = {
  table: "mail_queue",
  key: ["id"],
  column: "sealed_letter",
  context: ({ id = "" }) => ({ workspaceId: CONTEXT, name: id }),
};

export interface MailDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly envelope: Envelope;
  /** Null when the operator named no mail server. */
  readonly smtp: Smtp | null;
}

/** A letter that is ready for the transaction it belongs to. */
export interface SealedLetter {
  readonly id: string;
  readonly sealed: string;
  readonly now: number;
  readonly expiresAt: number;
}

/**
 * The mails of this server. They are queued in the transaction of what they tell about, and sent afterwards until the
 * mail server takes them or they are too old to be of use; a crash loses none, and may send one twice.
 */
export class Mail {
  readonly #deps: MailDeps;
  readonly #loop: DueLoop;
  #stopping = false;

  constructor(deps: MailDeps) {
    this.#deps = deps;
    this.#loop = new DueLoop(deps.clock, deps.log);
  }

  /** False: nothing can be mailed; whoever would get a link asks an administrator for it. */
  get isConfigured(): boolean {
    return this.#deps.smtp !== null;
  }

  /** Before the transaction. `lifetimeMs`: how long the letter is of use. */
  seal(letter: Letter, lifetimeMs: number): SealedLetter {
    const now = this.#deps.clock.now();
    const id = newId(now);
    const sealed = this.#deps.envelope.seal(JSON.stringify(letter), { workspaceId: CONTEXT, name: id });
    return { id, sealed, now, expiresAt: now + lifetimeMs };
  }

  /** Throws 503 `overloaded` when too many mails wait. */
  async enqueue(tx: WriteTx, { id, sealed, now, expiresAt }: SealedLetter): Promise<void> {
    if (await isQueueFull(tx, MAX_QUEUED)) throw new ApiError("overloaded", "too many mails wait to be sent");
    await insertMail(tx, { id, sealed_letter: sealed, due_at: now, expires_at: expiresAt, created_at: now });
    tx.afterCommit(() => this.#loop.arm(now));
  }

  start(): void {
    if (this.isConfigured) this.#loop.start([(now) => this.#sendDue(now)]);
  }

  /** What was not sent by then stays in the queue. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const waited = Promise.withResolvers<void>();
    const timer = setTimeout(waited.resolve, STOP_WAIT_MS);
    await Promise.race([this.#loop.stop(), waited.promise]);
    clearTimeout(timer);
  }

  async #sendDue(now: number): Promise<number | null> {
    const { store } = this.#deps;
    const due = await store.write((tx) => takeDue(tx, now, now + TAKEN_FOR_MS, BATCH));
    const queue = new PQueue({ concurrency: MAX_CONCURRENT });
    await queue.addAll(due.map((mail) => () => this.#send(mail)));
    return store.read(nextDue);
  }

  async #send(mail: MailRow): Promise<void> {
    const { store, clock, log, smtp } = this.#deps;
    if (this.#stopping || !smtp) return;
    const failure = await this.#try(smtp, mail);
    // The store may be closed by now; the letter is sent again after the next start.
    if (this.#stopping && failure) return;
    if (!failure) return store.write((tx) => deleteMail(tx, mail.id));
    const now = clock.now();
    const next = now + retryDelay(mail.attempts);
    if (failure.permanent || next >= mail.expires_at) {
      log.error({ mailId: mail.id, attempts: mail.attempts, reason: failure.message }, "a mail was given up");
      return store.write((tx) => deleteMail(tx, mail.id));
    }
    log.warn({ mailId: mail.id, attempts: mail.attempts, reason: failure.message }, "a mail could not be sent yet");
    return store.write((tx) => postpone(tx, mail.id, next, failure.message.slice(0, MAX_ERROR_CHARS)));
  }

  /** Null when it is sent. */
  async #try(smtp: Smtp, mail: MailRow): Promise<SendError | null> {
    if (mail.expires_at <= this.#deps.clock.now()) return new SendError("it is of no use any more", true);
    try {
      const plain = this.#deps.envelope.open(mail.sealed_letter, { workspaceId: CONTEXT, name: mail.id });
      await smtp.send(mail.id, JSON.parse(plain) as Letter);
      return null;
    } catch (error) {
      // Only a letter that cannot be opened is not a SendError: it was sealed with another root key.
      return error instanceof SendError ? error : new SendError((error as Error).message, true);
    }
  }
}

/** Doubles from 10 s to half an hour, with jitter of a quarter. */
function retryDelay(attempts: number): number {
  const delay = Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 16), MAX_RETRY_MS);
  return Math.round(delay * (0.875 + Math.random() * 0.25));
}
