import { readFile } from "node:fs/promises";
import { createClient } from "@shipfox/client";
import { Session, signUp } from "@shipfox/client/session";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TestRepository } from "../testing/git-repository.ts";
import { serveApp } from "./served-app.fixture.ts";

const ACCOUNT = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };
const README = new URL("../../../client/README.md", import.meta.url);
const YAML = `name: Hello
runner: linux
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  hello:
    steps:
      - run: echo hello
`;

let app: Awaited<ReturnType<typeof serveApp>>;
let repository: TestRepository;

beforeAll(async () => {
  app = await serveApp({ SHIPFOX_GIT_ALLOW_FILE: "true" });
  repository = await TestRepository.create();
  await repository.commit({ ".shipfox/workflows/hello.yml": YAML });
});
afterAll(async () => {
  await app.close();
  await repository.remove();
});

it("the client's README shows a program that works", async () => {
  const visitor = createClient({ baseUrl: app.url });
  const person = await signUp(visitor, ACCOUNT);
  if ("challengeId" in person) throw new Error("there is no mail here");
  const client = createClient({ baseUrl: app.url, token: new Session(visitor, person) });
  const workspace = await client.workspaces.create({ name: "Acme" });
  const connection = await client.integrations.connectGit({ workspace_id: workspace.id, name: "Here" });
  const project = await client.projects.create({
    workspace_id: workspace.id,
    name: "App",
    source: { connection_id: connection.id, external_repository_id: `git:file://${repository.folder}` },
  });
  expect(await client.projects.sync({ projectId: project.id })).toMatchObject({ status: "succeeded" });

  const [, program = ""] = /```ts\n(.*?)```/s.exec(await readFile(README, "utf8")) ?? [];
  const running = execa(process.execPath, ["--input-type=module-typescript", "--eval", program], {
    cwd: import.meta.dirname,
    env: { SHIPFOX_URL: app.url, SHIPFOX_TOKEN: person.accessToken },
  });
  const following = client.events.followWorkspace({ workspaceId: workspace.id, after: "0" });
  for await (const item of following) {
    if (item.kind !== "event" || item.event.type !== "run.created") continue;
    await client.runs.cancel({ id: item.event.run_id ?? "" });
    break;
  }
  const { stdout } = await running;

  expect(stdout).toMatch(/^Acme has App\nrun\.created\n(?:.*\n)*run\.finished\nthe run cancelled\n.* \([\w-]+\)$/);
});
