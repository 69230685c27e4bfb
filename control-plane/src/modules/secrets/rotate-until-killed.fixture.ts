// Rotates the root key and seals everything again, over and over, until somebody kills the process. Prints a line a round.
import { argv, stdout } from "node:process";
import { openStore } from "../../store/open.ts";
import { silentLog } from "../../testing/api.ts";
import { Envelope } from "./envelope.ts";
import { KeyRing } from "./key-ring.ts";
import { Reseal } from "./reseal.ts";
import { sealedSecrets } from "./step-secrets.ts";

const AN_HOUR_MS = 3_600_000;

const [, , dataDir = ""] = argv;
const ring = KeyRing.load({ dataDir });
const store = await openStore({
  databaseUrl: undefined,
  dataDir,
  onRunEvents: () => {},
  onLost: () => {},
  log: silentLog,
});
const envelope = new Envelope(ring);
const reseal = new Reseal({ store, log: silentLog, ring, envelope, columns: [sealedSecrets], tokenLifetimeMs: 0 });
for (let round = 1; ; round += 1) {
  if (ring.all.length < 4) ring.rotate({ now: Date.now(), revokeTokens: round % 2 === 0 });
  // As if an hour had passed: what nothing needs any more is forgotten.
  await reseal.run(Date.now() + AN_HOUR_MS);
  stdout.write(`${round}\n`);
}
