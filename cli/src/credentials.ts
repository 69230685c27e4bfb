import { chmod, link, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "./cli-error.ts";
import { type CredentialsFile, credentialsFileSchema } from "./contexts.ts";
import { EXIT } from "./exit-codes.ts";

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** A lock is held for one token refresh at most, which has a shorter timeout than this. */
const LOCK_STALE_MS = 45_000;
const LOCK_WAIT_MS = 60_000;
const LOCK_POLL_MS = 40;

const EMPTY: CredentialsFile = { version: 2, current: null, contexts: {} };

/** SHIPFOX_CONFIG_DIR, or `shipfox` in XDG_CONFIG_HOME (which counts only when absolute), or in ~/.config. */
export function configDirectory(env: Record<string, string | undefined>): string {
  if (env.SHIPFOX_CONFIG_DIR) return env.SHIPFOX_CONFIG_DIR;
  const xdg = env.XDG_CONFIG_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), ".config"), "shipfox");
}

/**
 * The file `credentials.json`, mode 0600, shared by all commands of one user.
 *
 * `update` is serialised over processes by a lock file and replaces the file in one step, so that a reader sees the old
 * or the new content and two commands never rotate the same refresh token.
 */
export class CredentialsStore {
  readonly path: string;
  readonly #directory: string;
  readonly #lockPath: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.path = join(directory, "credentials.json");
    this.#lockPath = join(directory, "credentials.lock");
  }

  /** Throws CliError when the file is there but cannot be understood. */
  async read(): Promise<CredentialsFile> {
    let text: string;
    try {
      text = await readFile(this.path, "utf8");
      if (((await stat(this.path)).mode & 0o077) !== 0) await chmod(this.path, FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return structuredClone(EMPTY);
      throw this.#unreadable(error);
    }
    try {
      return credentialsFileSchema.parse(JSON.parse(text));
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  /** Under the lock: reads, lets `change` edit the content, and saves it. Nothing is saved when `change` throws. */
  async update<Result>(change: (file: CredentialsFile) => Promise<Result> | Result): Promise<Result> {
    await mkdir(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
    const release = await this.#lock();
    try {
      const file = await this.read();
      const before = JSON.stringify(file);
      const result = await change(file);
      if (JSON.stringify(file) !== before) await this.#save(file);
      return result;
    } finally {
      await release();
    }
  }

  async #save(file: CredentialsFile): Promise<void> {
    const temporary = `${this.path}.${process.pid}.tmp`;
    const handle = await open(temporary, "w", FILE_MODE);
    try {
      await handle.writeFile(`${JSON.stringify(file, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.path);
  }

  async #lock(): Promise<() => Promise<void>> {
    const owner = `${process.pid} ${hostname()} ${crypto.randomUUID()}`;
    const giveUpAt = Date.now() + LOCK_WAIT_MS;
    for (;;) {
      try {
        const handle = await open(this.#lockPath, "wx", FILE_MODE);
        await handle.writeFile(owner);
        await handle.close();
        return () => this.#unlock(owner);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw this.#unreadable(error);
      }
      if (await this.#isStale()) await this.#breakLock();
      else if (Date.now() > giveUpAt) {
        throw new CliError("Another shipfox command holds the credentials.", {
          exitCode: EXIT.usage,
          code: "credentials-locked",
          next: [`when none is running: rm ${this.#lockPath}`],
        });
      } else await sleep(LOCK_POLL_MS * (0.5 + Math.random()));
    }
  }

  async #unlock(owner: string): Promise<void> {
    const holder = await readFile(this.#lockPath, "utf8").catch(() => "");
    if (holder === owner) await rm(this.#lockPath, { force: true });
  }

  async #isStale(): Promise<boolean> {
    try {
      const [{ mtimeMs }, holder] = await Promise.all([stat(this.#lockPath), readFile(this.#lockPath, "utf8")]);
      const [pid, host] = holder.split(" ");
      if (Date.now() - mtimeMs > LOCK_STALE_MS) return true;
      return host === hostname() && !isAlive(Number(pid));
    } catch {
      return false;
    }
  }

  /** Moves the lock away instead of deleting it: of two breakers only one moves it, and a fresh lock is put back. */
  async #breakLock(): Promise<void> {
    const aside = `${this.#lockPath}.${process.pid}`;
    try {
      await rename(this.#lockPath, aside);
    } catch {
      return;
    }
    const [pid, host] = (await readFile(aside, "utf8")).split(" ");
    const fresh = Date.now() - (await stat(aside)).mtimeMs <= LOCK_STALE_MS;
    if (fresh && (host !== hostname() || isAlive(Number(pid))))
      await link(aside, this.#lockPath).catch(() => undefined);
    await rm(aside, { force: true });
  }

  #unreadable(cause: unknown): CliError {
    return new CliError(`The credentials in ${this.path} cannot be used: ${(cause as Error).message}`, {
      exitCode: EXIT.usage,
      code: "credentials-unreadable",
      next: [`rm ${this.path} && shipfox login`],
      cause,
    });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
