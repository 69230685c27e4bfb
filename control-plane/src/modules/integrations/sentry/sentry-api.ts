import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import type { SentrySettings } from "./settings.ts";

const TRY_TIMEOUT_MS = 10_000;
const MAX_TRIES = 3;
const FIRST_BACKOFF_MS = 250;
const MAX_ANSWER_BYTES = 1024 * 1024;
const DEFAULT_RATE_LIMIT_WAIT_SECONDS = 60;

const authorizationSchema = z.object({ token: z.string().min(1) });
const installationSchema = z.object({
  uuid: z.string(),
  organization: z.object({ slug: z.string().min(1) }),
});

export interface SentryInstallation {
  /** Slug of the organisation that installed the integration. */
  readonly organization: string;
}

/** The two calls of Sentry's API by which an integration claims an installation. */
export class SentryApi {
  readonly #settings: SentrySettings;

  constructor(settings: SentrySettings) {
    this.#settings = settings;
  }

  /**
   * Exchanges the code of an installation, which Sentry takes once, for a token of it. Throws 403
   * `sentry-claim-proof-mismatch` when Sentry does not take it, and what `#send` throws.
   */
  async exchangeCode(installationId: string, code: string): Promise<string> {
    const { clientId, clientSecret } = this.#settings;
    const body = { grant_type: "authorization_code", code, client_id: clientId, client_secret: clientSecret };
    const answer = await this.#send("POST", `${pathOf(installationId)}authorizations/`, { body });
    if (answer.status >= 400) {
      throw new ApiError(
        "sentry-claim-proof-mismatch",
        `Sentry does not take the code for this installation (${answer.status}); start the installation again`,
      );
    }
    return read(answer, authorizationSchema).token;
  }

  /** Tells Sentry that the installation is done, and answers whose it is. Safe to repeat, so it is, when Sentry fails. */
  async confirm(installationId: string, token: string): Promise<SentryInstallation> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.#send("PUT", pathOf(installationId), { body: { status: "installed" }, token });
        if (answer.status >= 400) {
          throw new ApiError("provider-rejected", `Sentry answered ${answer.status}; start the installation again`);
        }
        const installation = read(answer, installationSchema);
        if (installation.uuid !== installationId) throw malformed("it is about another installation");
        return { organization: installation.organization.slug };
      } catch (error) {
        if (!isPassing(error) || attempt === MAX_TRIES) throw error;
        await sleep(FIRST_BACKOFF_MS * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  /** Throws 503 `provider-unavailable`, 503 `timeout`, 429 `rate-limited` and 422 `malformed-provider-response`. */
  async #send(
    method: "POST" | "PUT",
    path: string,
    { body, token }: { body: unknown; token?: string },
  ): Promise<{ status: number; text: string }> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#settings.url + path, {
        method,
        // The secret goes to the host that the operator named, and to no other.
        redirect: "error",
        signal: AbortSignal.timeout(TRY_TIMEOUT_MS),
        headers: {
          accept: "application/json",
          "content-type": "application/json",
          "user-agent": "shipfox",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(body),
      });
      text = await readBounded(response);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if ((error as Error).name === "TimeoutError")
        throw new ApiError("timeout", "Sentry took too long", { cause: error });
      throw new ApiError("provider-unavailable", "Sentry did not answer", { cause: error });
    }
    if (response.status === 429) throw rateLimited(response);
    if (response.status >= 500) throw new ApiError("provider-unavailable", `Sentry answered ${response.status}`);
    return { status: response.status, text };
  }
}

function pathOf(installationId: string): string {
  return `/api/0/sentry-app-installations/${encodeURIComponent(installationId)}/`;
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw malformed(`it is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

function read<Schema extends z.ZodType>({ text }: { text: string }, schema: Schema): z.output<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("it is not JSON");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw malformed(`${parsed.error.issues[0]?.path.join(".") ?? ""} is not what it should be`);
  return parsed.data;
}

function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.code === "provider-unavailable" || error.code === "timeout");
}

function rateLimited(response: Response): ApiError {
  const asked = Number(response.headers.get("retry-after"));
  const seconds = Number.isInteger(asked) && asked > 0 ? asked : DEFAULT_RATE_LIMIT_WAIT_SECONDS;
  return new ApiError("rate-limited", `Sentry asks to slow down; try again in ${seconds} s`, {
    details: { retry_after_seconds: seconds },
  });
}

function malformed(why: string): ApiError {
  return new ApiError("malformed-provider-response", `Sentry's answer is not understood: ${why}`);
}
