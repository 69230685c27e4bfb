import { createLogger } from "@shipfox/shared/logger";
import { Guard } from "./guard-process.ts";

const NO_PLANE = "http://127.0.0.1:9";

/** A real guard process for tests, by default of one whose jobs need no control plane. */
export function startTestGuard({
  baseUrl = NO_PLANE,
  standstillLimitMs = 20_000,
  lifetimeLimitMs = null as number | null,
} = {}): Promise<Guard> {
  return Guard.start({
    baseUrl,
    certificateAuthority: null,
    standstillLimitMs,
    lifetimeLimitMs,
    logger: createLogger("test", "silent"),
  });
}
