import { type ClaimReply, claimReplySchema, type RegisterReply, registerReplySchema } from "@shipfox/shared/machine";
import { type Answer, call, type CallOptions } from "./api.ts";

/** A runner played by the test: registers with a token and asks for jobs, over the wire. */
export async function registerByHand(url: string, token: string, labels: string[]): Promise<RegisterReply> {
  const answer = await call(url, "POST", "/runners/register", { token, body: { labels, persistent: true } });
  if (answer.status !== 200) throw new Error(`register: ${answer.status} ${answer.text}`);
  return registerReplySchema.parse(answer.body);
}

/** One job, which must be there. */
export async function claimByHand(url: string, sessionToken: string): Promise<ClaimReply> {
  const answer = await call(url, "POST", "/runners/jobs/request?wait_seconds=10", { token: sessionToken });
  if (answer.status !== 200) throw new Error(`claim: ${answer.status} ${answer.text}`);
  return claimReplySchema.parse(answer.body);
}

/** Any call that carries a lease. */
export function leased(url: string, leaseToken: string, path: string, options: CallOptions = {}): Promise<Answer> {
  return call(url, "POST", path, { token: leaseToken, ...options });
}
