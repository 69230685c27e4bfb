import { createHash } from "node:crypto";
import { ArchiveFault } from "./archive-fault.ts";
import { pathParts, shown } from "./archive-path.ts";
import { WorkspaceTree } from "./workspace-tree.ts";

/** A digest of the names and contents of some files of a workspace, hex. Throws ArchiveFault when one is missing, or a link. */
export async function hashFiles(workspace: string, paths: readonly string[]): Promise<string> {
  const all = createHash("sha256");
  const tree = await WorkspaceTree.open(workspace);
  try {
    for (const path of paths) {
      const file = await tree.openFile(pathParts(path));
      if (file === null)
        throw new ArchiveFault(`${shown(path)}, a file for the key, does not exist or is no plain file`);
      const one = createHash("sha256");
      try {
        for await (const piece of file.createReadStream({ autoClose: false })) one.update(piece);
      } finally {
        await file.close();
      }
      all.update(`${path}\0${one.digest("hex")}\n`);
    }
  } finally {
    await tree.close();
  }
  return all.digest("hex");
}
