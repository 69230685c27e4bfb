import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GitHubServer } from "@shipfox/shared/github-server.fixture";
import { SentryServer } from "@shipfox/shared/sentry-server.fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestRepository } from "../testing/git-repository.ts";
import { codeIn, MailServer, tokenIn } from "../testing/mail-server.ts";
import { KEY, type ModelServer, MODELS, serveModels } from "../testing/model-server.ts";
import { HELD, insertHeldEvent, insertMember } from "../testing/rows.ts";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";
import { buildWorld, type World } from "./world.fixture.ts";

const PAGE = fileURLToPath(new URL("../../../docs/api.md", import.meta.url));
const LINE_LIMIT_MS = 60_000;
const SECTION_LIMIT_MS = 300_000;
/** Takes the place of the shell, so that it can be hung up, and shows the status. */
const CURL = 'curl() { exec curl --silent --show-error --include "$@"; }';
const OWNER = { email: "owner@example.com", password: "correct-horse-battery", name: "Owner" };
/** Whom the page invites. */
const GUEST = { ...OWNER, email: "bob@example.com", name: "Bob" };
/** Who signs up on the page. */
const NEWCOMER = "ada@example.com";
const ON_GITHUB = { id: 7, owner: "acme", name: "app", private: true, defaultBranch: "main" };

/** Later names of routes that are shown by their first one. */
const OTHER_NAMES =
  /agent\/(providers|model-provider-catalog|default-provider)|model-providers$|runs\/steps\/|PUT .*agent$/;

interface Section {
  readonly title: string;
  /** Each one shell command. */
  readonly calls: readonly string[];
}

type Variables = Readonly<Record<string, string>>;

interface Answer {
  readonly status: number;
  readonly text: string;
}

function sectionsIn(page: string): Section[] {
  const sections = page.split(/^#+ /m).map((text) => ({ title: text.split("\n", 1)[0] ?? "", calls: callsIn(text) }));
  return sections.filter(({ calls }) => calls.length > 0);
}

function callsIn(text: string): string[] {
  const blocks = [...text.matchAll(/```(?:sh|console)\n([^]*?)```/g)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    block
      .replaceAll(/^\$ /gm, "")
      .split(/^(?=curl )/m)
      .map((line) => line.trim())
      .filter((line) => line.startsWith("curl ")),
  );
}

/** `POST /projects/$PROJECT/sync`. */
function calledBy(line: string): { method: string; path: string } {
  const [, path = ""] = /\$URL([^\s"'?]*)/.exec(line) ?? [];
  const [, given] = /-X (\w+)/.exec(line) ?? [];
  return { method: given ?? (/ -d /.test(line) ? "POST" : "GET"), path };
}

function matches(template: string, path: string): boolean {
  const [wanted, given] = [template.split("/"), path.split("/")];
  return (
    wanted.length === given.length &&
    wanted.every((segment, at) => segment === given[at] || (segment.startsWith("{") && given[at] !== ""))
  );
}

/** Makes a call as the page shows it; a stream is hung up on when it has begun. */
async function make(line: string, folder: string, variables: Variables): Promise<Answer> {
  const child = spawn("bash", ["-uc", `${CURL}\n${line}`], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", ...variables },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LINE_LIMIT_MS,
  });
  let [printed, complaint] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    printed += part;
    if (/^content-type: text\/event-stream[^]*\r\n\r\n/im.test(printed)) child.kill();
  });
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    complaint += part;
  });
  await once(child, "close");
  const [head = "", body = ""] = printed.split(/\r\n\r\n([^]*)/);
  const [, status = "0"] = /^HTTP\/\S+ (\d+)/.exec(head) ?? [];
  return { status: Number(status), text: body || complaint };
}

const sections = sectionsIn(await readFile(PAGE, "utf8"));
const calls = sections.flatMap((section) => section.calls);

describe("the calls in docs/api.md", () => {
  let app: ServedApp;
  let mails: MailServer;
  let anthropic: ModelServer;
  let ownModels: ModelServer;
  let github: GitHubServer;
  let sentry: SentryServer;
  let repository: TestRepository;
  let token: string;
  let guestToken: string;

  beforeAll(async () => {
    mails = await MailServer.start();
    anthropic = await serveModels("anthropic");
    ownModels = await serveModels("openai");
    github = await GitHubServer.start();
    sentry = await SentryServer.start();
    repository = await TestRepository.create();
    await repository.commit({ "README.md": "An app." });
    app = await serveApp({
      SHIPFOX_GIT_ALLOW_FILE: "true",
      SHIPFOX_ALLOW_SIGNUP: "true",
      SHIPFOX_AGENT_ALLOW_PRIVATE: "true",
      SHIPFOX_AGENT_PROVIDER_URLS: `anthropic=${anthropic.url}`,
      ...github.environment,
      ...sentry.environment,
      ...mails.environment,
    });
    await post("/auth/signup", OWNER);
    ({ token } = await post("/auth/login", OWNER));
    const { email_challenge } = await post("/auth/signup", GUEST);
    const proof = { challenge_id: email_challenge.id, code: codeIn(await mails.mailTo(GUEST.email)) };
    ({ token: guestToken } = await post("/auth/verify-email/confirm", { email: GUEST.email, ...proof }));
  });

  afterAll(async () => {
    await app.close();
    await Promise.all([mails, anthropic, ownModels, github, sentry].map((server) => server.close()));
    await repository.remove();
  });

  // biome-ignore lint/suspicious/noExplicitAny: replies of every shape
  // oxlint-disable-next-line typescript/no-explicit-any -- replies of every shape
  async function post(path: string, body: unknown): Promise<any> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(app.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  it("are all of routes that exist", () => {
    const unknown = calls.filter((line) => {
      const { method, path } = calledBy(line);
      return !app.routes.some((route) => route.method === method && matches(route.path, path));
    });
    expect(unknown).toEqual([]);
  });

  it("show every route of users, one name of each", () => {
    const ofUsers = app.routes.filter(({ credential }) => credential === "user");
    const shown = (route: (typeof ofUsers)[number]) =>
      calls.map(calledBy).some(({ method, path }) => method === route.method && matches(route.path, path));
    const silent = ofUsers.filter((route) => !shown(route)).map(({ method, path }) => `${method} ${path}`);
    expect(silent.filter((name) => !OTHER_NAMES.test(name))).toEqual([]);
  });

  it.each(sections)("all succeed in the order of the page: $title", { timeout: SECTION_LIMIT_MS }, async (section) => {
    const world = await buildWorld(app, token);
    const folder = await mkdtemp(join(tmpdir(), "shipfox-api-docs-"));
    try {
      let variables = await variablesOf(world);
      for (const line of section.calls) {
        const mailed = mails.received.length;
        const { status, text } = await make(line, folder, variables);
        expect(Math.floor(status / 100), `${line}\n${status} ${text}`).toBe(2);
        variables = { ...variables, ...(await learn(line, text, mailed)) };
      }
    } finally {
      await rm(folder, { recursive: true });
      await world.close();
    }
  });

  /** `$WORKSPACE` is an id of `workspaceId`. */
  async function variablesOf({ params, bearers }: World): Promise<Variables> {
    const one = (name: string) => params[name]?.[0] ?? "";
    const ofIds = Object.keys(params).map((name) => [name.replace(/Id$/, "").toUpperCase(), one(name)]);
    return {
      ...Object.fromEntries(ofIds),
      URL: app.url,
      TOKEN: bearers.user ?? "",
      RUN: one("id"),
      HELD_EVENT: await insertHeldEvent(app.store, one("workspaceId")),
      COMMIT: HELD.commit,
      WORKFLOWS_HASH: HELD.workflows_hash,
      REGISTRATION: one("tokenId"),
      USER_ID: await insertMember(app.store, one("workspaceId"), "maintainer"),
      GUEST_TOKEN: guestToken,
      PASSWORD: OWNER.password,
      // The same, for the other sections.
      NEW_PASSWORD: OWNER.password,
      REPOSITORY_URL: repository.fileUrl,
      SECRET: github.webhookSecret,
      API_KEY: KEY,
      MODEL: MODELS[0] ?? "",
      MODELS_URL: `${ownModels.url}/v1`,
    };
  }

  /** What a reply, a mail after the first `mailed`, or a provider's page tells for the calls that follow. */
  async function learn(line: string, text: string, mailed: number): Promise<Variables> {
    const reply = () => JSON.parse(text);
    const { method, path } = calledBy(line);
    switch (`${method} ${path}`) {
      case "POST /auth/signup":
        return { CHALLENGE: reply().email_challenge.id, CODE: codeIn(await mails.mailTo(NEWCOMER, mailed)) };
      case "POST /auth/password/reset":
        return { RESET_TOKEN: tokenIn(await mails.mailTo(NEWCOMER, mailed)) };
      case "GET /auth/sessions":
        return { SESSION: reply().sessions.find((session: { current: boolean }) => !session.current).id };
      case "POST /auth/tokens":
        return { PAT: reply().raw_token, TOKEN_ID: reply().id };
      case "POST /workspaces/$WORKSPACE/invitations":
      case "POST /workspaces/$WORKSPACE/invitations/$INVITATION/resend":
        return { INVITATION: reply().id, INVITATION_TOKEN: tokenIn(await mails.mailTo(reply().email, mailed)) };
      case "POST /integrations/git/connections":
        return { CONNECTION: reply().id };
      case "POST /integrations/webhook/connections":
        return { WEBHOOK_CONNECTION: reply().id };
      case "POST /workspaces/$WORKSPACE/provisioners/tokens":
        return { PROVISIONER_TOKEN: reply().id, PROVISIONER: reply().raw_token };
      case "POST /integrations/github/install": {
        const { id } = github.install("acme", [ON_GITHUB]);
        const state = new URL(reply().install_url).searchParams.get("state") ?? "";
        return { CODE: github.codeOf([ON_GITHUB]), INSTALLATION: String(id), STATE: state };
      }
      case "POST /integrations/sentry/install": {
        const { code, installation_id } = sentry.install("acme");
        return { CODE: code, INSTALLATION: installation_id };
      }
      default:
        return {};
    }
  }
});
