import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import type { ScopedValueRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { type Envelope, EnvelopeError, type SecretContext } from "./envelope.ts";
import { ScopedValues } from "./scoped-values.ts";
import type { SealedColumn } from "./sealed-columns.ts";

/** What a secret is sealed for. The key has no slash, so no two secrets have one context. */
export function sealContext(row: Pick<ScopedValueRow, "workspace_id" | "scope_id" | "key">): SecretContext {
  return { workspaceId: row.workspace_id, name: `secret/${row.scope_id}/${row.key}` };
}

export const sealedSecrets: SealedColumn = {
  table: "secrets",
  key: ["workspace_id", "scope_id", "key"],
  column: "value",
  context: ({ workspace_id = "", scope_id = "", key = "" }) => sealContext({ workspace_id, scope_id, key }),
};

/** Opens secrets for the steps that name them. The values go to a runner, never further. */
export class StepSecrets {
  readonly #values = new ScopedValues("secrets");
  readonly #envelope: Envelope;
  readonly #log: Logger;

  constructor(envelope: Envelope, log: Logger) {
    this.#envelope = envelope;
    this.#log = log;
  }

  /**
   * The value of each key as a run of the project sees it now. Throws 422 `secret-not-found` and 409
   * `secret-value-invalid`, both with the key.
   */
  async open(
    tx: Tx,
    place: { workspaceId: string; projectId: string },
    keys: Iterable<string>,
  ): Promise<Map<string, string>> {
    const opened = new Map<string, string>();
    for (const key of new Set(keys)) {
      const row = await this.#values.findEffective(tx, place, key);
      if (!row) {
        const message = `neither the project nor the workspace has a secret ${key}; set it with \`shipfox secrets set ${key}\``;
        throw new ApiError("secret-not-found", message, { details: { key }, status: 422 });
      }
      opened.set(key, this.#openRow(row));
    }
    return opened;
  }

  #openRow(row: ScopedValueRow): string {
    try {
      return this.#envelope.open(row.value, sealContext(row));
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      const { workspace_id, project_id, key } = row;
      this.#log.error({ reason: error.reason, workspace_id, project_id, key }, "a stored secret cannot be opened");
      const message = `the stored value of the secret ${row.key} cannot be opened; set it again`;
      throw new ApiError("secret-value-invalid", message, { details: { key: row.key } });
    }
  }
}
