import { email as emailSchema } from "@shipfox/shared/api/values";
import { ConfigError } from "@shipfox/shared/config";
import { recoveryKey, recoveryToken } from "./recovery-token.ts";

/** Throws ConfigError when there is no e-mail address. */
export function recoveryLink(request: {
  readonly rootKey: Buffer;
  readonly publicUrl: string;
  readonly email: string | undefined;
  readonly now: number;
}): string {
  const email = emailSchema.safeParse(request.email);
  if (!email.success) throw new ConfigError("recover needs the e-mail address of an account");
  const token = recoveryToken(recoveryKey(request.rootKey), { email: email.data, issuedAt: request.now });
  return `${request.publicUrl}/auth/reset?token=${token}`;
}
