import { ATTACKS } from "../security/attacks.ts";

/** The title of a test of the attack with this number; `variant` tells its tests apart, for example by sandbox. */
export function attack(number: number, variant: string): string {
  const found = ATTACKS.find((candidate) => candidate.number === number);
  if (!found) throw new Error(`there is no attack ${number}`);
  return `[attack ${number}] ${found.attack}: ${variant}`;
}
