import { parseDuration } from "@shipfox/shared/durations";
import { InvalidArgumentError } from "commander";
import { z } from "zod";

const written = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

/**
 * A moment as RFC 3339, as a day (`2026-01-31`, its begin in UTC), or as a duration before now (`24h`), in RFC 3339; for an
 * option of a command.
 */
export function parseMoment(text: string): string {
  const ago = parseDuration(text);
  const milliseconds = ago === null ? Date.parse(written.safeParse(text).data ?? "") : Date.now() - ago;
  const moment = new Date(milliseconds);
  if (!Number.isNaN(moment.getTime())) return moment.toISOString();
  throw new InvalidArgumentError(
    "Expected a time such as 2026-01-31T09:00:00Z, a day such as 2026-01-31, or 24h ago as 24h.",
  );
}
