import { SCENARIOS } from "../faults/scenarios.ts";

/** The title of a test of the scenario with this number; `variant` tells its tests apart, for example by sandbox or database. */
export function fault(number: number, variant: string): string {
  const scenario = SCENARIOS.find((candidate) => candidate.number === number);
  if (!scenario) throw new Error(`there is no scenario ${number}`);
  return `[fault ${number}] ${scenario.fault}: ${variant}`;
}
