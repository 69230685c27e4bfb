import { ConfigError } from "@shipfox/shared/config";
import type { ProvisionerConfig } from "../config.ts";
import { type Client, isTokenRefused, type Provisioner } from "../control-plane/client.ts";

/** Who the token is at the control plane. Throws ConfigError for a token that is refused for good, else as `Client.me`. */
export async function introduce(client: Client, config: ProvisionerConfig, signal: AbortSignal): Promise<Provisioner> {
  try {
    return await client.me(signal);
  } catch (error) {
    throw explainRefusedToken(error, config);
  }
}

/** A token that is refused with where it came from and how to get another; every other error as it is. */
export function explainRefusedToken(error: unknown, { apiUrl }: ProvisionerConfig): unknown {
  if (!isTokenRefused(error)) return error;
  return new ConfigError(
    `The control plane at ${apiUrl} refused the provisioner token: ${error.message}. SHIPFOX_PROVISIONER_TOKEN_FILE, or SHIPFOX_PROVISIONER_TOKEN, must hold one that was made there: shipfox provisioners tokens create NAME --token-file FILE.`,
    { cause: error },
  );
}
