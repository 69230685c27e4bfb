import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { ConfigError } from "@shipfox/shared/config";
import { describe, expect, it } from "vitest";
import type { ProvisionerConfig } from "../config.ts";
import type { Client } from "../control-plane/client.ts";
import { introduce } from "./introduce.ts";

const CONFIG = { apiUrl: "https://ci.example.com" } as ProvisionerConfig;

function refused(status: number, code: string, message: string): RefusedError {
  return new RefusedError({ status, code, message, details: null, retryAfterMs: 0 });
}

async function faultOf(error: Error): Promise<Error> {
  const client = { me: () => Promise.reject(error) } as unknown as Client;
  return await introduce(client, CONFIG, AbortSignal.timeout(1_000)).then(
    () => new Error("it was taken"),
    (fault: Error) => fault,
  );
}

describe("the introduction at the control plane", () => {
  it("that is refused names the setting the token comes from, and the command for another", async () => {
    const fault = await faultOf(refused(401, "unauthorized", "expected a provisioner token (sf_pt_…) (HTTP 401)"));
    expect(fault).toBeInstanceOf(ConfigError);
    for (const words of [CONFIG.apiUrl, "(HTTP 401)", "SHIPFOX_PROVISIONER_TOKEN_FILE", "shipfox provisioners tokens"])
      expect(fault.message).toContain(words);
  });

  it.each([refused(503, "", "busy"), new UnreachableError("nobody is there")])(
    "that fails otherwise is told as it is: %s",
    async (error) => {
      expect(await faultOf(error)).toBe(error);
    },
  );
});
