import { randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { takeLock } from "@shipfox/shared/process-lock";

const credentialSchema = z.object({
  api_url: z.string(),
  runner_id: z.string(),
  runner_token: z.string().startsWith("sf_rt_"),
});
/** Who the runner is to one control plane. */
export type Credential = z.infer<typeof credentialSchema>;

export class StateFolderError extends Error {
  override readonly name = "StateFolderError";
}

/** The runner's own folder: what must outlive a restart. One process at a time; everything but the work folder is 0700 or 0600. */
export class StateFolder {
  readonly path: string;
  readonly spool: string;
  readonly mirrors: string;
  readonly gitAccess: string;
  readonly work: string;
  /** Which process the guard is: see `noteGuard`. */
  readonly guardNote: string;

  private constructor(path: string) {
    this.path = path;
    this.spool = join(path, "spool");
    this.mirrors = join(path, "mirrors");
    this.gitAccess = join(path, "git");
    this.work = join(path, "work");
    this.guardNote = join(path, "guard");
  }

  /** Makes what is missing and takes the lock. Throws StateFolderError when it cannot be written or another runner has it. */
  static open(path: string): StateFolder {
    const state = new StateFolder(path);
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      // A root runner gives its steps another user; host steps must be able to pass through to the work folder.
      if (process.getuid?.() === 0) chmodSync(path, 0o711);
      for (const folder of [state.spool, state.mirrors, state.gitAccess])
        mkdirSync(folder, { recursive: true, mode: 0o700 });
      state.lock();
    } catch (error) {
      if (error instanceof StateFolderError) throw error;
      throw new StateFolderError(
        `The state folder ${path} cannot be used: ${(error as Error).message}. Set SHIPFOX_RUNNER_STATE_DIR to a folder that this user may write.`,
      );
    }
    return state;
  }

  /** Gives the lock back. */
  close(): void {
    rmSync(join(this.path, "lock"), { force: true });
  }

  /** The same for who only looks: the folder may be another process's, or missing. */
  static peekCredential(path: string, apiUrl: string): Credential | null {
    return new StateFolder(path).readCredential(apiUrl);
  }

  /** The credential for this control plane, null when there is none. Throws when the file is damaged. */
  readCredential(apiUrl: string): Credential | null {
    const file = join(this.path, "credential.json");
    const content = readIfThere(file);
    if (content === null) return null;
    try {
      const credential = credentialSchema.parse(JSON.parse(content));
      return credential.api_url === apiUrl ? credential : null;
    } catch {
      throw new StateFolderError(`${file} is damaged. Remove it and start the runner with a registration token.`);
    }
  }

  /** On return the credential is on the disk, whole; a crash at any moment leaves the old one or the new one. */
  writeCredential(credential: Credential): void {
    const file = join(this.path, "credential.json");
    const temporary = `${file}.new`;
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(fd, `${JSON.stringify(credential)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
    const folder = openSync(this.path, "r");
    fsyncSync(folder);
    closeSync(folder);
  }

  /** Marks what the sandboxes of this runner make, also before it has registered. The same after each restart. */
  instanceId(): string {
    return this.onceWritten("instance-id");
  }

  /** Names the registration of a single-use token: the same after each restart. */
  registrationKey(): string {
    return this.onceWritten("registration-key");
  }

  /** Writes the authorities for git, returns the file. */
  writeCertificateBundle(pem: string): string {
    const file = join(this.path, "certificate-authorities.pem");
    writeFileSync(file, pem, { mode: 0o600 });
    return file;
  }

  /** A random id that the file of this name has held since it was first asked for. */
  private onceWritten(name: string): string {
    const file = join(this.path, name);
    const known = readIfThere(file)?.trim();
    if (known) return known;
    const id = randomUUID();
    writeFileSync(file, `${id}\n`, { mode: 0o600 });
    return id;
  }

  private lock(): void {
    const holder = takeLock(join(this.path, "lock"));
    if (holder !== null)
      throw new StateFolderError(
        `Another runner (process ${holder}) uses ${this.path}. Give each runner its own SHIPFOX_RUNNER_STATE_DIR.`,
      );
  }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
