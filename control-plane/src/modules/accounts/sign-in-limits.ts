import { addressBlock } from "../../http/client-address.ts";
import { FixedWindows } from "../../http/fixed-windows.ts";
import type { Clock } from "../../store/clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How often strangers may try; 0 is no limit. */
export interface SignInLimitSettings {
  /** In 5 minutes. */
  readonly loginPerAddress: number;
  /** In 15 minutes. */
  readonly loginPerEmail: number;
  /** In an hour. */
  readonly mailPerAddress: number;
  readonly mailPerEmail: number;
}

/** Counted before anything is looked up or hashed, so that many at the same moment are not let through. */
export class SignInLimits {
  readonly #loginPerAddress: FixedWindows;
  readonly #loginPerEmail: FixedWindows;
  readonly #mailPerAddress: FixedWindows;
  readonly #mailPerEmail: FixedWindows;

  constructor(clock: Clock, settings: SignInLimitSettings) {
    this.#loginPerAddress = new FixedWindows(clock, { limit: settings.loginPerAddress, windowMs: 5 * MINUTE_MS });
    this.#loginPerEmail = new FixedWindows(clock, { limit: settings.loginPerEmail, windowMs: 15 * MINUTE_MS });
    this.#mailPerAddress = new FixedWindows(clock, { limit: settings.mailPerAddress, windowMs: HOUR_MS });
    this.#mailPerEmail = new FixedWindows(clock, { limit: settings.mailPerEmail, windowMs: HOUR_MS });
  }

  /** Of what costs a password hash or takes a secret to guess: sign-up, codes, links. */
  address(ip: string): void {
    this.#loginPerAddress.take(addressBlock(ip));
  }

  /** Of every try of an account's password. */
  password(ip: string, email: string): void {
    this.address(ip);
    this.#loginPerEmail.take(email);
  }

  mail(ip: string, email: string): void {
    this.#mailPerAddress.take(addressBlock(ip));
    this.#mailPerEmail.take(email);
  }
}
