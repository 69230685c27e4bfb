import { type Route, route } from "./route.ts";

/**
 * Where a link with a token in its query leads until a page of its own serves it: a text that says what to do. `URL` in it
 * becomes the address of the server. The token is not repeated, nor told to whatever the reader opens next.
 */
export function linkPage(
  { path, tag, summary, text }: Pick<Route, "path" | "tag" | "summary"> & { readonly text: string },
  publicUrl: string,
): Route {
  return route({
    method: "GET",
    path,
    tag,
    summary,
    credential: "none",
    responses: { 200: "text" },
    handle: async () => ({
      status: 200,
      body: text.replaceAll("URL", publicUrl),
      headers: { "cache-control": "no-store", "referrer-policy": "no-referrer" },
    }),
  });
}
