import { open, rm } from "node:fs/promises";
import { fileError } from "./read-file.ts";

const OWNER_ONLY = 0o600;

/**
 * Writes what `make` answers to a new file that only its owner may read. The file is there before `make` is called, so that no
 * secret is lost for want of a place; it is removed again when `make` fails. Throws a usage error where no such file can be made.
 */
export async function writeNewFile(path: string, make: () => Promise<string>): Promise<void> {
  const file = await open(path, "wx", OWNER_ONLY).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    await file.writeFile(`${await make()}\n`);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
