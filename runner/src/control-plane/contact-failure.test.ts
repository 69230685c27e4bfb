import { describe, expect, it } from "vitest";
import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { contactFailure } from "./contact-failure.ts";

const coded = (code: string) => Object.assign(new Error(code), { code });
const unreachable = (cause: unknown) => new UnreachableError("no answer", { cause });
const refused = (status: number, code = "") =>
  new RefusedError({ status, code, message: "no", details: undefined, retryAfterMs: 0 });

describe("what a failed call says about the control plane", () => {
  it.each([
    ["a closed port", unreachable(coded("ECONNREFUSED"))],
    ["a reset", unreachable(coded("ECONNRESET"))],
    ["a connection that was closed while we wrote", unreachable(coded("EPIPE"))],
    ["undici's closed socket", new TypeError("fetch failed", { cause: coded("UND_ERR_SOCKET") })],
    ["a closed port on each address", unreachable(new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")]))],
    ["500", refused(500, "internal")],
    ["502 of a proxy", refused(502)],
    ["503 of a plane that is going away", refused(503, "unavailable")],
    ["507", refused(507, "storage-full")],
  ])("%s: it is down", (_what, error) => {
    expect(contactFailure(error)).toBe("plane_down");
  });

  it.each([
    ["no answer in time", unreachable(Object.assign(new Error("aborted"), { name: "AbortError", code: "ABORT_ERR" }))],
    ["a time-out of the kernel", unreachable(coded("ETIMEDOUT"))],
    ["no route to the host", unreachable(coded("EHOSTUNREACH"))],
    ["no route to the network", unreachable(coded("ENETUNREACH"))],
    ["a network that is off", unreachable(coded("ENETDOWN"))],
    ["no address of our own", unreachable(coded("EADDRNOTAVAIL"))],
    ["a name that is not known", unreachable(coded("ENOTFOUND"))],
    ["a name server that is silent", unreachable(coded("EAI_AGAIN"))],
    ["a foreign certificate", unreachable(coded("DEPTH_ZERO_SELF_SIGNED_CERT"))],
    ["undici's connect time-out", new TypeError("fetch failed", { cause: coded("UND_ERR_CONNECT_TIMEOUT") })],
    ["undici's time-out for headers", new TypeError("fetch failed", { cause: coded("UND_ERR_HEADERS_TIMEOUT") })],
    ["one closed address, one silent", unreachable(new AggregateError([coded("ECONNREFUSED"), coded("ETIMEDOUT")]))],
    ["a page that is not ours", new UnreachableError("not JSON")],
    ["408", refused(408, "timeout")],
    ["429", refused(429, "rate-limited")],
    ["a 404 of a proxy without a plane behind it", refused(404)],
    ["a 403 of a firewall", refused(403)],
    ["something else", "?"],
  ])("%s: it may serve others", (_what, error) => {
    expect(contactFailure(error)).toBe("silence");
  });

  it.each([
    ["a lease that is gone", refused(404, "running-job-execution-not-found")],
    ["a token that is not good any more", refused(401, "unauthorized")],
  ])("%s: the job is not ours", (_what, error) => {
    expect(contactFailure(error)).toBe("lease_gone");
  });
});
