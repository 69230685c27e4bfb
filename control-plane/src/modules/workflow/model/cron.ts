import { Cron } from "croner";

const FIELDS = ["minute", "hour", "day of the month", "month", "day of the week"];
/** `H` lets the server choose; any value serves to check the rest. */
const CHOSEN = ["0", "0", "1", "1", "0"];
/** Every possible date comes within 8 years of this one: 29 February is the rarest. */
const ANY_MOMENT = new Date(Date.UTC(2024, 0, 1));

/** What is wrong with a schedule of five fields; null when it fires at some time. */
export function cronFault(schedule: string): string | null {
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== FIELDS.length || schedule.trim().startsWith("@")) {
    return `a schedule has five fields (${FIELDS.join(", ")}), such as \`30 2 * * 1-5\``;
  }
  const pattern = fields
    .map((field, index) => field.replace(/^H(?=\/)/, "*").replace(/^H$/, CHOSEN[index] ?? "0"))
    .join(" ");
  try {
    const next = new Cron(pattern, { mode: "5-part", timezone: "UTC", paused: true }).nextRun(ANY_MOMENT);
    return next ? null : "no date ever fits it";
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, "");
  }
}

export function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
