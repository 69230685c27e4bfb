import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { ApiError } from "@shipfox/shared/errors";
import { createAuthenticate } from "../http/authenticate.ts";
import { clientAddress } from "../http/client-address.ts";
import type { Services } from "../http/execute.ts";
import { createExpressApp } from "../http/express-app.ts";
import { createHotHandler } from "../http/hot-handler.ts";
import type { Route } from "../http/route.ts";
import type { RateSettings } from "../http/rate-class.ts";
import { RequestCounts } from "../http/request-counts.ts";
import { RateLimits } from "../http/rate-limits.ts";
import { SignedTokens } from "../http/signed-tokens.ts";
import { type Clock, systemClock } from "../store/clock.ts";

const ACCESS_TOKEN_SECONDS = 900;
const SESSION_TOKEN_SECONDS = 3_600;

export const TEST_ROOT_KEY = Buffer.alloc(32, 1);
export const testTokens = new SignedTokens(TEST_ROOT_KEY, {
  userSeconds: ACCESS_TOKEN_SECONDS,
  sessionSeconds: SESSION_TOKEN_SECONDS,
});
export const silentLog = pino({ level: "silent" });

/** An access token as a sign-in gives it. */
export function bearerOf(userId: string): string {
  return `Bearer ${testTokens.signUser({ userId, email: "user@example.com", name: null, refreshSessionId: userId })}`;
}

/** A clock that stands until the test moves it. */
export function testClock(start = 1_800_000_000_000): Clock & { advance(milliseconds: number): void } {
  let time = start;
  return {
    now: () => time,
    monotonic: () => time,
    advance: (milliseconds) => {
      time += milliseconds;
    },
  };
}

export const UNLIMITED: RateSettings = {
  read: 0,
  write: 0,
  "run-start": 0,
  settings: 0,
  machine: 0,
  stranger: 0,
  webhook: 0,
};

/** What the adapters need, where there are no personal access tokens and nobody keeps what was refused. */
export function testServices(): Services {
  const accessTokens = { verify: () => Promise.reject(new ApiError("unauthorized")) };
  return {
    authenticate: createAuthenticate(testTokens, accessTokens),
    tickets: { redeem: () => Promise.reject(new ApiError("unauthorized")) },
    isGood: () => Promise.resolve(true),
    requests: new RequestCounts(),
    accessLog: null,
    forbidden: () => {},
    clientAddress: clientAddress(false),
    limits: new RateLimits(systemClock, UNLIMITED),
    idempotency: null,
    log: silentLog,
  };
}

export interface ApiReply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of every shape
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into replies of every shape
  readonly body: any;
}

export interface Api {
  readonly url: string;
  /** `user` is the id of who calls; `body` goes out as JSON. */
  call(
    method: string,
    path: string,
    options?: { user?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<ApiReply>;
  close(): Promise<void>;
}

/** The routes on a real server, behind both adapters, as the product serves them. */
export async function serveApi(routes: readonly Route[], given: Partial<Services> = {}): Promise<Api> {
  const services = { ...testServices(), ...given };
  const server = createServer(createHotHandler(routes, services, createExpressApp(routes, services)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    call: async (method, path, { user, body, headers } = {}) => {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(user === undefined ? {} : { authorization: bearerOf(user) }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
