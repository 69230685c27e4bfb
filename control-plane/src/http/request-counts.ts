import type { ServerResponse } from "node:http";
import type { Route } from "./route.ts";

const STATUS_CLASSES = ["aborted", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

interface RequestCount {
  /** The template of the path; `unknown` for all paths that lead nowhere. */
  readonly route: string;
  readonly method: string;
  readonly status: (typeof STATUS_CLASSES)[number];
  readonly value: number;
}

/** How many requests each route has answered, by the class of the status; as many numbers as there are routes, whoever calls. */
export class RequestCounts {
  readonly #byRoute = new Map<Route | null, number[]>();

  /** Counts when the response is over; null for a path that leads nowhere. */
  count(route: Route | null, response: ServerResponse): void {
    const counts = this.#byRoute.get(route) ?? STATUS_CLASSES.map(() => 0);
    this.#byRoute.set(route, counts);
    response.once("close", () => {
      const at = response.headersSent ? Math.trunc(response.statusCode / 100) : 0;
      counts[at] = (counts[at] ?? 0) + 1;
    });
  }

  /** Those that are not zero. */
  all(): RequestCount[] {
    return [...this.#byRoute].flatMap(([route, counts]) =>
      STATUS_CLASSES.map((status, at) => ({
        route: route?.path ?? "unknown",
        method: route?.method ?? "any",
        status,
        value: counts[at] ?? 0,
      })).filter(({ value }) => value > 0),
    );
  }
}
