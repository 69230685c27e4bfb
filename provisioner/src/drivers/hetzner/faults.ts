import { ProviderError, type ProviderFault } from "../driver.ts";

const FIRST_ERROR = 400;
const FIRST_OWN_FAULT = 500;

/** What the API's error codes are to the daemon; the rest goes by status. */
const FAULTS: Readonly<Record<string, ProviderFault>> = {
  rate_limit_exceeded: "throttled",
  resource_unavailable: "no_capacity",
  placement_error: "no_capacity",
  no_space_left_in_location: "no_capacity",
  no_subnet_available: "no_capacity",
  ip_not_available: "no_capacity",
  resource_limit_exceeded: "quota",
  // Another change of the same thing is under way: it passes.
  conflict: "unavailable",
  locked: "unavailable",
  maintenance: "unavailable",
  unavailable: "unavailable",
};
const TOO_MANY = 429;
/** The API says it of a type that was never there, and also of one that is sold out there. */
const SOLD_OUT = /unsupported location for server type|server type .*unavailable/i;

export interface Refusal {
  readonly status: number;
  /** The `code` of the API's error; "" when the body is none of its. */
  readonly code: string;
  readonly message: string;
}

export function faultOf({ status, code, message }: Refusal): ProviderFault {
  if (status < FIRST_ERROR || status >= FIRST_OWN_FAULT) return FAULTS[code] ?? "unavailable";
  if (status === TOO_MANY) return "throttled";
  if (code === "invalid_input" && SOLD_OUT.test(message)) return "no_capacity";
  return FAULTS[code] ?? "refused";
}

/** The API said no; `code` is its own word for it. */
export class HetznerRefusal extends ProviderError {
  readonly code: string;

  /** `changes`: whether the call would have changed something. Only a fault of the API's own leaves open whether it did. */
  constructor(what: string, refusal: Refusal, { changes, retryAfterMs }: { changes: boolean; retryAfterMs: number }) {
    const said = refusal.message === "" ? "" : `: ${refusal.message}`;
    super(
      faultOf(refusal),
      `Hetzner Cloud refused ${what} (${refusal.code || "no code"}, HTTP ${refusal.status})${said}`,
      { mayHaveHappened: changes && refusal.status >= FIRST_OWN_FAULT, retryAfterMs },
    );
    this.code = refusal.code;
  }
}
