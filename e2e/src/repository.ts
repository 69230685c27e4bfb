import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import type { Stage } from "./stage.ts";

/** A git repository on this machine, in which each commit is made in its work tree. */
export class Repository {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(stage: Stage, files: Record<string, string>): Promise<Repository> {
    const repository = new Repository(await stage.folder("repository"));
    await repository.git("init", "--quiet", "--initial-branch=main");
    await repository.commit(files);
    return repository;
  }

  get url(): string {
    return `file://${this.folder}`;
  }

  /** Writes the files (null removes one), commits all and answers the commit. */
  async commit(files: Record<string, string | null>): Promise<string> {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.folder, path);
      await mkdir(dirname(file), { recursive: true });
      if (content === null) await rm(file);
      else await writeFile(file, content);
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "--message=Change");
    return this.git("rev-parse", "HEAD");
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }

  async git(...args: string[]): Promise<string> {
    const person = { NAME: "Test", EMAIL: "test@example.com" };
    const env = Object.fromEntries(
      Object.entries(person).flatMap(([key, value]) => [
        [`GIT_AUTHOR_${key}`, value],
        [`GIT_COMMITTER_${key}`, value],
      ]),
    );
    const { stdout } = await execa("git", args, {
      cwd: this.folder,
      env: { ...env, GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null" },
    });
    return stdout;
  }
}
