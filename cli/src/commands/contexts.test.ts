import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { user } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

let work: StandInServer;
let own: StandInServer;
let home: CliHome;
beforeEach(async () => {
  [work, own, home] = await Promise.all([StandInServer.start(), StandInServer.start(), CliHome.create()]);
  for (const [server, email] of [
    [work, "ada@work.example"],
    [own, "ada@home.example"],
  ] as const) {
    const person = { ...user, email };
    server.on("GET /", { body: { name: "shipfox", version: "0.1.0", docs: "/docs", needs_setup: false } });
    server.on("GET /auth/me", { body: { user: person, admin_role: null } });
    server.on("POST /auth/logout", { status: 204 });
    server.on("POST /auth/login", {
      body: { token: `access of ${email}`, user: person, membership: null, admin_role: null },
      headers: { "set-cookie": `shipfox_refresh_token=refresh-of-${email}; Path=/auth; HttpOnly` },
    });
  }
});
afterEach(async () => {
  await Promise.all([work, own, home].map((each) => each[Symbol.asyncDispose]()));
});

async function signIn(server: StandInServer, name: string): Promise<string> {
  const args = ["login", "--url", server.url, "--email", "ada@example.com", "--password-stdin", "--context", name];
  const { code, stdout } = await home.run(args, { stdin: "correct horse battery" });
  expect(code).toBe(0);
  return stdout;
}

/** Two contexts, `own` and `work`, of which the second is the current one. */
async function signedIn(): Promise<void> {
  await home.store.update((file) => {
    for (const [name, { url }] of Object.entries({ own, work })) {
      const email = `ada@${name}.example`;
      file.contexts[name] = { url, email, access_token: `access of ${name}`, refresh_token: `refresh-of-${name}` };
    }
    file.current = "work";
  });
}

const lines = (text: string) => text.trimEnd().split("\n");
const tokensSeen = (server: StandInServer) => server.seen("GET /auth/me").map(({ headers }) => headers.authorization);

describe("contexts", () => {
  it("are made by logins, of which the last is current", async () => {
    expect(await signIn(work, "work")).toContain("(context work)");
    await signIn(own, "own");
    expect(lines((await home.run(["contexts", "list"])).stdout)).toEqual([
      expect.stringMatching(/^ +NAME +SERVER +ACCOUNT$/),
      expect.stringMatching(/^ +work +http:.* +ada@work\.example$/),
      expect.stringMatching(/^\* +own +http:.* +ada@home\.example$/),
    ]);
  });

  it("are named by a flag on either side of the command or by a variable, and sent only their own token", async () => {
    await signedIn();
    await home.run(["whoami", "--context", "own"]);
    await home.run(["--context", "own", "whoami"]);
    await home.run(["whoami"], { env: { SHIPFOX_CONTEXT: "own" } });
    const { stdout } = await home.run(["whoami"]);
    expect(stdout).toContain(`ada@work.example at ${work.url} (context work)`);
    expect(tokensSeen(own)).toEqual(Array.from({ length: 3 }, () => "Bearer access of own"));
    expect(tokensSeen(work)).toEqual(["Bearer access of work"]);
  });

  it("can be made the current one", async () => {
    await signedIn();
    expect((await home.run(["contexts", "use", "own"])).code).toBe(0);
    expect((await home.store.read()).current).toBe("own");
  });

  it("end with their session, and the message then names those that are left", async () => {
    await signedIn();
    expect((await home.run(["contexts", "rm", "work"])).code).toBe(0);
    expect(work.seen("POST /auth/logout")[0]?.headers.cookie).toBe("shipfox_refresh_token=refresh-of-work");
    const nobody = await home.run(["whoami"]);
    expect([nobody.code, nobody.stderr]).toEqual([69, expect.stringContaining("next: shipfox contexts use own")]);
    expect((await home.run(["logout", "--context", "own", "--json"])).stdout).toContain('"signed_out": true');
    expect(own.seen("POST /auth/logout")).toHaveLength(1);
    expect((await home.store.read()).contexts).toEqual({});
  });

  it("must exist, and have a name that a shell can take", async () => {
    const unknown = await home.run(["whoami", "--context", "nope"]);
    expect([unknown.code, unknown.stderr]).toEqual([64, expect.stringContaining('There is no context "nope"')]);
    const args = ["login", "--url", own.url, "--context", "a b", "--password-stdin"];
    expect(await home.run(args, { stdin: "x" })).toMatchObject({ code: 64 });
    expect(own.requests).toEqual([]);
  });

  it("take over the file of before there were any", async () => {
    await home.signIn(own.url);
    const { contexts } = JSON.parse(await readFile(home.store.path, "utf8"));
    const [{ url, ...instance }] = Object.values(contexts) as [{ url: string }];
    await writeFile(home.store.path, JSON.stringify({ version: 1, current_url: url, instances: { [url]: instance } }));
    expect((await home.run(["whoami"])).stdout).toContain("ada@home.example");
    await signIn(work, "work");
    expect(JSON.parse(await readFile(home.store.path, "utf8"))).toMatchObject({ version: 2, current: "work" });
    expect(Object.keys((await home.store.read()).contexts)).toHaveLength(2);
  });
});
