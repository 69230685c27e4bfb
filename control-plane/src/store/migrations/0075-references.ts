import type { ColumnTypes } from "../dialect.ts";

/** What goes with a project or a workspace is found by an index. */
export const references = {
  version: 75,
  name: "indexes of references",
  oldestBinary: 1,
  up: (_types: ColumnTypes): string[] => [
    "create index secrets_project on secrets(project_id) where project_id is not null",
    "create index variables_project on variables(project_id) where project_id is not null",
    "create index access_tokens_workspace on access_tokens(workspace_id)",
  ],
};
