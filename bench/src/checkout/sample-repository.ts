import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

const FILES = 200;
const FOLDERS = 10;
const FILE_BYTES = 4096;
const COMMITS = 100;
const GIT_TIMEOUT_MS = 30_000;

/** 200 files of 4 KiB in 10 folders, 101 commits; served from a bare copy. */
export class SampleRepository {
  readonly #folder: string;
  readonly #bare: string;
  #changes = 0;

  private constructor(folder: string, bare: string) {
    this.#folder = folder;
    this.#bare = bare;
  }

  /** `served` is the folder of a git server, there already; the repository is `sample.git` in it. */
  static async make(folder: string, served: string): Promise<SampleRepository> {
    await mkdir(folder);
    const repository = new SampleRepository(folder, join(served, "sample.git"));
    await repository.#git("init", "--quiet", "--initial-branch=main");
    for (let file = 0; file < FILES; file += 1) await repository.#write(file);
    await repository.#git("add", ".");
    await repository.#git("commit", "--quiet", "--message=Start");
    for (let count = 0; count < COMMITS; count += 1) await repository.#commitChange();
    await repository.#git("clone", "--quiet", "--bare", folder, repository.#bare);
    return repository;
  }

  /** One more commit, which changes one file, and serves it. */
  async moveOn(): Promise<void> {
    await this.#commitChange();
    await this.#git("push", "--quiet", this.#bare, "main");
  }

  async #commitChange(): Promise<void> {
    this.#changes += 1;
    await this.#write(this.#changes % FILES);
    await this.#git("commit", "--quiet", "--all", `--message=Change ${this.#changes}`);
  }

  async #write(file: number): Promise<void> {
    const folder = join(this.#folder, `folder-${file % FOLDERS}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `file-${file}.txt`), randomBytes(FILE_BYTES / 2).toString("hex"));
  }

  async #git(...args: string[]): Promise<void> {
    const identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com"];
    await execa("git", [...identity, ...args], { cwd: this.#folder, timeout: GIT_TIMEOUT_MS });
  }
}
