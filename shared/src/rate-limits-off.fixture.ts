/** Variables of a control plane that is tested or measured: a suite calls faster than any user may. */
export const RATE_LIMITS_OFF = {
  SHIPFOX_RATE_READS: "0",
  SHIPFOX_RATE_WRITES: "0",
  SHIPFOX_RATE_RUN_STARTS: "0",
  SHIPFOX_RATE_SETTINGS: "0",
  SHIPFOX_RATE_MACHINE: "0",
  SHIPFOX_RATE_STRANGERS: "0",
  SHIPFOX_RATE_WEBHOOKS: "0",
} as const;
