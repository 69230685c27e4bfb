import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { KeyRing } from "../modules/secrets/public.ts";

/** A root key on the disk that is replaced as an administrator does. */
export async function rotatedRing() {
  const dataDir = await mkdtemp(join(tmpdir(), "shipfox-ring-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const keys = KeyRing.load({ dataDir });
  return {
    keys,
    rotate: ({ revokeTokens }: { revokeTokens: boolean }) => keys.rotate({ now: Date.now(), revokeTokens }),
    /** The keys as a server finds them that is started now. */
    reload: () => KeyRing.load({ dataDir }),
  };
}
