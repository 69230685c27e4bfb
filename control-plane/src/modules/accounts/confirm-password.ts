import { ApiError } from "@shipfox/shared/errors";
import type { Caller } from "../../http/caller.ts";
import type { AccountsDeps } from "./session.ts";
import { findUser } from "./store.ts";

/** For what is too dangerous to do with a sign-in alone. Throws 401 `invalid-credentials`, which the audit log keeps. */
export async function confirmPassword(
  { store, passwords }: Pick<AccountsDeps, "store" | "passwords">,
  caller: Caller,
  password: string,
): Promise<void> {
  const user = await store.read((tx) => findUser(tx, caller.userId));
  const isRight = await passwords.verify(user?.password_hash ?? null, password);
  if (isRight && user?.status === "active") return;
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
