import { resolve } from "node:path";
import { EC2Client } from "@aws-sdk/client-ec2";
import { fromIni } from "@aws-sdk/credential-provider-ini";
import { CALL_LIMIT_MS, ProviderError } from "../driver.ts";
import { ec2Fault, type Ec2Failure } from "./ec2-faults.ts";
import type { Ec2Settings } from "./options.ts";

const CONNECT_LIMIT_MS = 5_000;
const REQUEST_LIMIT_MS = 20_000;
/** What may follow one another within one call of the provider. */
const TOTAL_LIMIT_MS = CALL_LIMIT_MS - 10_000;
/** A file of credentials is read again so often: what was rotated counts without a restart. */
const CREDENTIALS_LIFE_MS = 15 * 60_000;

export interface CallOptions {
  readonly signal: AbortSignal;
  /** It can change something, so that an answer that was lost leaves open whether it did. */
  readonly changes?: boolean;
}

/** EC2's API through Amazon's SDK: each call is tried once, has a deadline, and rejects with ProviderError. */
export class Ec2Api {
  readonly #client: EC2Client;

  /** Relative paths start at `baseDir`. Asks nobody for anything yet. */
  constructor({ region, endpoint, credentials_file: file, profile }: Ec2Settings, baseDir: string) {
    this.#client = new EC2Client({
      region,
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: CONNECT_LIMIT_MS,
        requestTimeout: REQUEST_LIMIT_MS,
        throwOnRequestTimeout: true,
      },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(profile === undefined ? {} : { profile }),
      ...(file === undefined ? {} : { credentials: credentialsFrom(resolve(baseDir, file), profile, region) }),
    });
  }

  /** `what` is for people, such as `start of an instance`. */
  async call<T>(
    what: string,
    { signal, changes = false }: CallOptions,
    send: (client: EC2Client, options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    if (signal.aborted) throw new ProviderError("unavailable", `stopped before the ${what}`);
    try {
      return await Promise.race([send(this.#client, { abortSignal: signal }), rejectOnAbort(signal)]);
    } catch (error) {
      throw ec2Fault(error as Ec2Failure, { what, isLate: signal.aborted, changes });
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

/** Ends in time for one call of the provider, whatever it has to ask of EC2. */
export function bounded(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(TOTAL_LIMIT_MS)]);
}

/** EC2's code of an error, such as `InvalidInstanceID.NotFound`; null when EC2 did not say one. */
export function codeOf(error: unknown): string | null {
  const { cause } = error as { cause?: Partial<Ec2Failure> };
  return cause?.$metadata === undefined ? null : (cause.name ?? null);
}

function credentialsFrom(filepath: string, profile: string | undefined, region: string) {
  const options = { filepath, ignoreCache: true, clientConfig: { region } };
  return async () => {
    const credentials = await fromIni({ ...options, ...(profile === undefined ? {} : { profile }) })();
    return { ...credentials, expiration: credentials.expiration ?? new Date(Date.now() + CREDENTIALS_LIFE_MS) };
  };
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("stopped")), { once: true });
  });
}
