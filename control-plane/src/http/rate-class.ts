/**
 * What calls count towards. Users: reading, changing, starting runs, and changing settings and secrets, each counted for the
 * person or for the personal access token. Machines: all calls of a session. Strangers: all calls of an address, a `/64` in IPv6;
 * the deliveries of providers apart, which come many at once from few addresses.
 */
export type RateClass = "read" | "write" | "run-start" | "settings" | "machine" | "stranger" | "webhook";

/** Calls a minute; 0 is no limit. */
export type RateSettings = Readonly<Record<RateClass, number>>;
