const MAX_VARIABLES = 1000;
const MAX_VARIABLE_BYTES = 256 * 1024;
const MAX_FOLDERS = 100;
const MAX_FOLDER_BYTES = 32 * 1024;

/** What the steps of a job set for those after them. The bounds keep later steps startable: Linux limits what a program can be given. */
export class JobEnvironment {
  private known: Record<string, string> = {};
  private folders: string[] = [];

  get variables(): Readonly<Record<string, string>> {
    return this.known;
  }

  /** Folders put before PATH, the newest first. */
  get path(): readonly string[] {
    return this.folders;
  }

  /** Answers why the variables are not taken, or null. */
  addVariables(variables: Readonly<Record<string, string>>): string | null {
    const next = { ...this.known, ...variables };
    const entries = Object.entries(next);
    const bytes = entries.reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value) + 2, 0);
    if (entries.length > MAX_VARIABLES || bytes > MAX_VARIABLE_BYTES)
      return `SHIPFOX_ENV: the steps of a job may set ${MAX_VARIABLES} variables with ${MAX_VARIABLE_BYTES} bytes together.`;
    this.known = next;
    return null;
  }

  /** `folders` come before those that are known. Answers why they are not taken, or null. */
  addFolders(folders: readonly string[]): string | null {
    const next = [...new Set([...folders, ...this.folders])];
    const bytes = next.reduce((sum, folder) => sum + Buffer.byteLength(folder) + 1, 0);
    if (next.length > MAX_FOLDERS || bytes > MAX_FOLDER_BYTES)
      return `SHIPFOX_PATH: the steps of a job may add ${MAX_FOLDERS} folders with ${MAX_FOLDER_BYTES} bytes together.`;
    this.folders = next;
    return null;
  }
}
