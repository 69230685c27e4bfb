import { ApiError } from "@shipfox/shared/errors";
import type { Caller } from "../../http/caller.ts";
import type { UserRow } from "../../store/schema.ts";
import type { AccountsDeps } from "./session.ts";
import { findUser } from "./store.ts";

export type ConfirmPasswordDeps = Pick<AccountsDeps, "store" | "passwords" | "limits">;

/**
 * For what is too dangerous to do with a sign-in alone. Throws 401 `invalid-credentials`, which the audit log keeps, and
 * 429 `rate-limited`: whoever stole a token has no more guesses than at the front door.
 */
export async function confirmPassword(
  { store, passwords, limits }: ConfirmPasswordDeps,
  caller: Caller,
  password: string,
): Promise<UserRow> {
  const user = await store.read((tx) => findUser(tx, caller.userId));
  limits.password(caller.origin.ip, user?.email ?? caller.userId);
  const isRight = await passwords.verify(user?.password_hash ?? null, password);
  if (isRight && user?.status === "active") return user;
  await store.write((tx) =>
    tx.audit(caller, {
      workspaceId: null,
      action: "password.refused",
      outcome: "failed",
      target: { type: "user", id: caller.userId, name: user?.email ?? null },
    }),
  );
  throw new ApiError("invalid-credentials", "the password is wrong");
}
