import { ConfigError } from "@shipfox/shared/config";
import { certificateBundle, type ProvisionerConfig } from "../config.ts";
import type { Holder } from "../holder.ts";
import { Client } from "./client.ts";

/** Throws ConfigError without a token. */
export function openClient(config: ProvisionerConfig, holder: Holder): Client {
  if (config.token === undefined)
    throw new ConfigError(
      "SHIPFOX_PROVISIONER_TOKEN, or SHIPFOX_PROVISIONER_TOKEN_FILE, must name the provisioner token.",
    );
  return new Client({
    baseUrl: config.apiUrl,
    token: config.token,
    holder,
    certificateAuthority: certificateBundle(config),
  });
}
