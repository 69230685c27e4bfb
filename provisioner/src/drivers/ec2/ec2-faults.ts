import { ProviderError, type ProviderFault } from "../driver.ts";

const TOO_MANY = 429;
const FIRST_CLIENT_FAULT = 400;
const FIRST_OWN_FAULT = 500;
/** The connection was never made. */
const NOT_REACHED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "CERT_HAS_EXPIRED",
]);

/** In this order, by EC2's error codes; several that say that nothing was done come with a status of 500 or 503. */
const BY_CODE: readonly (readonly [RegExp, ProviderFault])[] = [
  [/^(?:Request|EC2)?Thrott|^RequestLimitExceeded$|^TooManyRequests|^SlowDown$/, "throttled"],
  [/^Insufficient.*Capacity|^InsufficientFreeAddresses|^UnfulfillableCapacity$|^SpotMaxPriceTooLow$/, "no_capacity"],
  [/^ReservationCapacityExceeded$/, "no_capacity"],
  [/(?:Limit|Count|Quota)Exceeded$/, "quota"],
];

/** As the SDK throws it: what EC2 answered, what became of the connection, or that there are no credentials. */
export interface Ec2Failure extends Error {
  /** Of the connection. */
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export interface FailedCall {
  /** For people, such as `start of an instance`. */
  readonly what: string;
  /** It was given up, by its deadline or by its caller. */
  readonly isLate: boolean;
  /** It can change something, so that an answer that was lost leaves open whether it did. */
  readonly changes: boolean;
}

/** EC2's error code is the `name` of the error that comes as `cause`. */
export function ec2Fault(failure: Ec2Failure, { what, isLate, changes }: FailedCall): ProviderError {
  const fault = isLate ? "unavailable" : faultOf(failure);
  const isSent = isLate || !(NOT_REACHED.has(failure.code ?? "") || isAboutCredentials(failure));
  const why = isLate ? "no answer in time" : describe(failure);
  return new ProviderError(fault, `EC2 failed (${what}): ${why}`, {
    mayHaveHappened: changes && isSent && fault === "unavailable",
    cause: failure,
  });
}

function faultOf(failure: Ec2Failure): ProviderFault {
  if (isAboutCredentials(failure)) return "refused";
  const status = failure.$metadata?.httpStatusCode ?? 0;
  const known = BY_CODE.find(([pattern]) => status >= FIRST_CLIENT_FAULT && pattern.test(failure.name));
  if (known !== undefined) return known[1];
  if (status === TOO_MANY) return "throttled";
  return status >= FIRST_CLIENT_FAULT && status < FIRST_OWN_FAULT ? "refused" : "unavailable";
}

/** None were found, or those that were found could not be used; EC2 was not asked. */
function isAboutCredentials({ name }: Ec2Failure): boolean {
  return name === "CredentialsProviderError" || name === "TokenProviderError";
}

function describe({ name, message, code }: Ec2Failure): string {
  const said = message.trim() || (code ?? "no further details");
  return name === "Error" || said.includes(name) ? said : `${name}: ${said}`;
}
