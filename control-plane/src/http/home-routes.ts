import { homeReplySchema } from "@shipfox/shared/api/home";
import type { Logger } from "@shipfox/shared/logger";
import { VERSION } from "@shipfox/shared/version";
import { z } from "zod";
import { escapeHtml, page } from "./html.ts";
import { route, type Route } from "./route.ts";

/** Shorter than the patience of common load balancers and supervisors. */
const CHECK_LIMIT_MS = 3_000;
/** Two names of one route: the common one, and the one that Kubernetes made a habit. */
const ALIVE_PATHS = ["/health", "/healthz"];

export interface HomeDeps {
  /** True while no account exists. */
  needsSetup(): Promise<boolean>;
  /** Run at once for every question; one that throws, or does not answer in time, has failed. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>;
  readonly publicUrl: string;
  readonly log: Logger;
}

const healthSchema = z
  .object({ status: z.enum(["ok", "error"]), checks: z.record(z.string(), z.enum(["ok", "error"])) })
  .meta({ id: "Health" });

export function createHomeRoutes(deps: HomeDeps): Route[] {
  const failed = new Set<string>();
  /** Strangers are told no reason, and how often they ask fills no log. */
  const note = (name: string, reason: Error | null) => {
    if ((reason !== null) === failed.has(name)) return;
    if (reason === null) {
      failed.delete(name);
      deps.log.info({ check: name }, "a check of readiness passes again");
    } else {
      failed.add(name);
      deps.log.error({ check: name, err: reason }, "a check of readiness fails");
    }
  };
  const health = async () => {
    const outcomes = Object.entries(deps.checks).map(async ([name, check]) => {
      const reason = await faultOf(check);
      note(name, reason);
      return [name, reason === null ? ("ok" as const) : ("error" as const)] as const;
    });
    const checks = Object.fromEntries(await Promise.all(outcomes));
    const good = Object.values(checks).every((outcome) => outcome === "ok");
    return { status: good ? 200 : 503, body: { status: good ? ("ok" as const) : ("error" as const), checks } };
  };
  return [
    ...ALIVE_PATHS.map((path) =>
      route({
        method: "GET",
        path,
        tag: "Operations",
        summary: "The process is alive",
        credential: "none",
        rate: "none",
        responses: { 200: healthSchema },
        handle: async () => ({ status: 200, body: { status: "ok" as const, checks: {} } }),
      }),
    ),
    route({
      method: "GET",
      path: "/readyz",
      tag: "Operations",
      summary: "The server can do its work: it reads and writes, has room, and does what is due",
      credential: "none",
      rate: "none",
      responses: { 200: healthSchema, 503: healthSchema },
      handle: health,
    }),
    route({
      method: "GET",
      path: "/",
      tag: "Operations",
      summary: "What this is; a page for browsers",
      credential: "none",
      responses: { 200: homeReplySchema },
      handle: async ({ request }) => {
        const needsSetup = await deps.needsSetup();
        if (!prefersHtml(request.header("accept"))) {
          return {
            status: 200,
            body: {
              name: "shipfox",
              version: VERSION,
              docs: `${deps.publicUrl}/openapi.json`,
              needs_setup: needsSetup,
            },
          };
        }
        const { status } = (await health()).body;
        return {
          status: 200,
          headers: { "content-type": "text/html; charset=utf-8" },
          body: welcome({ healthy: status === "ok", needsSetup, publicUrl: deps.publicUrl }),
        };
      },
    }),
  ];
}

/** Whoever asks would give up without an answer, so a check that hangs has failed. */
async function faultOf(check: () => Promise<void>): Promise<Error | null> {
  const late = Promise.withResolvers<never>();
  const deadline = setTimeout(() => late.reject(new Error("the check takes too long")), CHECK_LIMIT_MS);
  try {
    await Promise.race([check(), late.promise]);
    return null;
  } catch (error) {
    return error as Error;
  } finally {
    clearTimeout(deadline);
  }
}

function prefersHtml(accept: string | undefined): boolean {
  return accept !== undefined && accept.includes("text/html");
}

function welcome(facts: { healthy: boolean; needsSetup: boolean; publicUrl: string }): string {
  const url = escapeHtml(facts.publicUrl);
  const next = facts.needsSetup
    ? `<p>There is no account yet. Make the first one, which owns this instance:</p><pre>shipfox login --url ${url} --signup</pre>
<p>From another machine it asks for the setup token, which the server's log and <code>shipfox-control-plane setup</code> show.</p>`
    : `<p>Sign in from a terminal, then start a workflow:</p><pre>shipfox login --url ${url}\nshipfox run --follow</pre>`;
  return page(
    "Shipfox",
    `<h1>Shipfox, self-hosted</h1><p>Version ${VERSION} · ${facts.healthy ? "healthy" : "<strong>not healthy: see its readiness</strong>"}</p>
${next}
<p><a href="/docs">API explorer</a> · <a href="/openapi.json">API description</a> · <a href="/readyz">Readiness</a></p>`,
  );
}
