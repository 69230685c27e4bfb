import type { Client } from "@shipfox/client";
import type { AdminUser, AdminWorkspace } from "@shipfox/shared/api/admin";
import { isId } from "@shipfox/shared/ids";
import { quoteWord } from "../../choose.ts";
import { usageError } from "../../cli-error.ts";
import { readRows } from "../../paging.ts";
import { plainText } from "../../render/plain-text.ts";

/** Workspaces whose slug or name has a part in common with the one that is looked for. */
const MAX_LOOKALIKES = 5_000;

/** The user with this e-mail address or id. Throws a usage error when there is none. */
export async function chooseUser(api: Client, reference: string): Promise<AdminUser> {
  const search = `shipfox admin users list --search ${quoteWord(reference)}`;
  if (!isId(reference) && !reference.includes("@")) {
    throw usageError(`"${plainText(reference)}" is neither the e-mail address nor the id of a user.`, search);
  }
  const { users } = await api.admin.users(isId(reference) ? { user_id: reference } : { email: reference });
  const [user] = users;
  if (!user) throw usageError(`There is no user ${plainText(reference)}.`, "shipfox admin users list");
  return user;
}

/** The workspace with this slug or id, whoever its members are. Throws a usage error when there is none. */
export async function chooseAnyWorkspace(api: Client, reference: string): Promise<AdminWorkspace> {
  const filter = isId(reference) ? { workspace_id: reference } : { search: reference };
  const { rows } = await readRows(MAX_LOOKALIKES, async (page) => {
    const reply = await api.admin.workspaces({ ...filter, ...page });
    return { rows: reply.workspaces, next: reply.next_cursor };
  });
  const workspace = rows.find(({ id, slug }) => id === reference || slug === reference.toLowerCase());
  if (!workspace) {
    throw usageError(
      `There is no workspace with the slug or id ${plainText(reference)}.`,
      "shipfox admin workspaces list",
    );
  }
  return workspace;
}
