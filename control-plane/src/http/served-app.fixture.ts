import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RATE_LIMITS_OFF } from "@shipfox/shared/rate-limits-off.fixture";
import { type App, type AppOptions, startApp } from "../app.ts";
import { readConfig } from "../config.ts";
import { KeyRing } from "../modules/secrets/public.ts";
import { silentLog, TEST_ROOT_KEY } from "../testing/api.ts";

export interface ServedApp extends Pick<App, "routes" | "services" | "store" | "listenForMachines" | "metrics"> {
  readonly url: string;
  close(): Promise<void>;
}

/** The whole server on a free port, with a data folder of its own; `close` removes it. */
export async function serveApp(
  env: Record<string, string> = {},
  options: Pick<AppOptions, "writeAccess"> = {},
): Promise<ServedApp> {
  const dataDir = await mkdtemp(join(tmpdir(), "shipfox-app-"));
  const app = await startApp({
    config: readConfig({ ...RATE_LIMITS_OFF, ...env, SHIPFOX_DATA_DIR: dataDir }),
    rootKeys: new KeyRing([{ key: TEST_ROOT_KEY, replacedAt: null, tokens: true }], dataDir),
    publicUrl: "http://localhost",
    log: silentLog,
    ...options,
    onLost: () => {},
  });
  await new Promise<void>((resolve) => app.server.listen(0, "127.0.0.1", resolve));
  const { port } = app.server.address() as AddressInfo;
  return {
    routes: app.routes,
    services: app.services,
    store: app.store,
    metrics: () => app.metrics(),
    listenForMachines: (address) => app.listenForMachines(address),
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      await app.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}
