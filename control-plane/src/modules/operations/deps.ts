import { ApiError } from "@shipfox/shared/errors";
import type { Access } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AccessChanged } from "../../http/open-streams.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { ServerSettings } from "./server-settings.ts";

export interface OperationsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  /** Told after the commit, so that streams that are open end. */
  readonly accessChanged: AccessChanged;
  readonly settings: ServerSettings;
  readonly version: string;
  /** More runs may go now. */
  readonly onLimitsChanged: (now: number) => void;
  /** Jobs of a workspace that was suspended may start again. */
  readonly onReopened: (workspaceId: string) => void;
}

/** Whoever manages a whole server must be able to repeat a call without doing it twice. Throws 400 `idempotency-key-required`. */
export function requireKey(caller: Caller): void {
  if (!caller.call) {
    throw new ApiError("idempotency-key-required", "send the header Idempotency-Key, new for every change you want");
  }
}
