import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { describe, expect, it } from "vitest";
import { ids } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

describe("shipfox open", () => {
  it("prints where the server describes its API, and where a run is, with the command that shows it", async () => {
    await using server = await StandInServer.start();
    await using home = await CliHome.create();
    server.on("GET /", { body: { name: "shipfox", version: "0.1.0", docs: "/docs", needs_setup: false } });
    await home.signIn(server.url);
    expect(await home.run(["open"])).toEqual({ code: 0, stdout: `${server.url}/docs\n`, stderr: "" });
    const path = `/workflows/runs/${ids.run}`;
    const { stdout } = await home.run(["open", ids.run]);
    expect(stdout).toBe(`${server.url}${path}\n  next: shipfox api GET ${path}\n`);
    expect(JSON.parse((await home.run(["open", ids.run, "--json"])).stdout)).toEqual({ url: `${server.url}${path}` });
  });
});
