import type { ServerSettingsChange } from "@shipfox/shared/api/admin";
import type { ServerSettingRow } from "../../store/schema.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";

const ALL = "select name, value from server_settings";
const SET = `insert into server_settings (name, value) values (?, ?) on conflict (name) do update set value = excluded.value`;
const FORGET = "delete from server_settings where name = ?";

/** As the server was started. */
export interface StartedWith {
  readonly allow_signup: boolean;
  readonly max_concurrent_runs: number;
}

export interface EffectiveSetting<Value> {
  readonly value: Value;
  /** Set by an administrator; false: as the server was started. */
  readonly own: boolean;
}

export interface EffectiveSettings {
  readonly allow_signup: EffectiveSetting<boolean>;
  readonly max_concurrent_runs: EffectiveSetting<number>;
}

type Own = Partial<StartedWith>;

/**
 * What can be changed while the server runs. One process owns the database, so the rows are read once and what is
 * committed counts from then on.
 */
export class ServerSettings {
  readonly #started: StartedWith;
  #own: Own;

  private constructor(started: StartedWith, own: Own) {
    this.#started = started;
    this.#own = own;
  }

  static async open(store: Store, started: StartedWith): Promise<ServerSettings> {
    return new ServerSettings(started, await store.read(readOwn));
  }

  get effective(): EffectiveSettings {
    return effectiveOf(this.#started, this.#own);
  }

  get allowSignup(): boolean {
    return this.effective.allow_signup.value;
  }

  get maxConcurrentRuns(): number {
    return this.effective.max_concurrent_runs.value;
  }

  /** Answers what counts after the commit. Null gives a setting back to how the server was started. */
  async change(tx: WriteTx, change: ServerSettingsChange): Promise<EffectiveSettings> {
    for (const [name, value] of Object.entries(change)) {
      if (value === null) await tx.run(FORGET, [name]);
      else if (value !== undefined) await tx.run(SET, [name, JSON.stringify(value)]);
    }
    const own = await readOwn(tx);
    tx.afterCommit(() => {
      this.#own = own;
    });
    return effectiveOf(this.#started, own);
  }
}

async function readOwn(tx: Tx): Promise<Own> {
  const rows = await tx.all<ServerSettingRow>(ALL);
  return Object.fromEntries(rows.map(({ name, value }) => [name, JSON.parse(value) as unknown]));
}

function effectiveOf(started: StartedWith, own: Own): EffectiveSettings {
  return {
    allow_signup: { value: own.allow_signup ?? started.allow_signup, own: own.allow_signup !== undefined },
    max_concurrent_runs: {
      value: own.max_concurrent_runs ?? started.max_concurrent_runs,
      own: own.max_concurrent_runs !== undefined,
    },
  };
}
