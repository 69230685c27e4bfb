import type { Access } from "../../http/access.ts";
import type { ResolveHost } from "../../network/resolve-host.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { Envelope } from "../secrets/public.ts";
import type { Prober } from "./probe.ts";

export interface AgentDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly envelope: Envelope;
  readonly prober: Prober;
  readonly resolve: ResolveHost;
  readonly settings: {
    /** Users may name addresses that are not on the public internet, and http. */
    readonly allowPrivate: boolean;
    /** The operator's own addresses of built-in providers, by id. He answers for them, wherever they are. */
    readonly providerUrls: ReadonlyMap<string, string>;
  };
}
