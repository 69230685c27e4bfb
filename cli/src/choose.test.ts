import { newId } from "@shipfox/shared/ids";
import { describe, expect, it } from "vitest";
import { ApiClient } from "./api-client.ts";
import { chooseDefinition, chooseProject, chooseRunner, chooseWorkspace, quoteWord } from "./choose.ts";
import { HttpTransport } from "./http-transport.ts";
import { definition, membership, project, runner } from "./testing/fixtures.ts";
import { StandInServer } from "./testing/stand-in-server.ts";

describe("choosing a workflow", () => {
  const ci = definition();
  const deploy = definition({ id: newId(), name: "Deploy it", config_path: ".shipfox/workflows/deploy.yml" });
  const twin = definition({ id: newId(), name: "CI", config_path: ".shipfox/workflows/ci-slow.yml" });

  it.each(["Deploy it", "deploy it", "deploy", "deploy.yml", "./.shipfox/workflows/deploy.yml", deploy.id])(
    "finds %s",
    (reference) => {
      expect(chooseDefinition([ci, deploy], reference)).toBe(deploy);
    },
  );

  it("names the choices when there is none, or more than one", () => {
    expect(() => chooseDefinition([ci, deploy], "test")).toThrow('no workflow "test"; there are: CI, Deploy it');
    expect(() => chooseDefinition([ci, twin], "CI")).toThrow("ci.yml, .shipfox/workflows/ci-slow.yml");
    expect(() => chooseDefinition([], "CI")).toThrow("no workflow yet");
  });
});

describe("choosing a workspace and a project", () => {
  const other = membership({ workspace_id: newId(), workspace_slug: "ops", workspace_name: "Operations" });
  const gone = membership({ workspace_id: newId(), workspace_slug: "old", workspace_status: "deleted" });

  it("takes the only active one, and names the choices when there are more", async () => {
    await using server = await StandInServer.start();
    const api = new ApiClient(new HttpTransport(server.url));
    server.on("GET /workspaces", { body: { memberships: [membership(), gone] } });
    expect((await chooseWorkspace(api, undefined)).workspace_slug).toBe("web");
    server.on("GET /workspaces", { body: { memberships: [membership(), other] } });
    await expect(chooseWorkspace(api, undefined)).rejects.toMatchObject({
      message: "There are 2 workspaces: web, ops.",
      next: ["add --workspace web"],
    });
    expect((await chooseWorkspace(api, "operations")).workspace_slug).toBe("ops");
    await expect(chooseWorkspace(api, "nope")).rejects.toThrow('no workspace "nope"; there are: web, ops');
  });

  it("reads all pages of projects", async () => {
    await using server = await StandInServer.start();
    const api = new ApiClient(new HttpTransport(server.url));
    const second = project({ id: newId(), slug: "api", name: "API" });
    server.on("GET /workspaces", { body: { memberships: [membership()] } });
    server.on("GET /projects", ({ query }) => ({
      body:
        query.get("cursor") === null
          ? { projects: [project()], next_cursor: "c" }
          : { projects: [second], next_cursor: null },
    }));
    expect((await chooseProject(api, { project: "api" })).slug).toBe("api");
    await expect(chooseProject(api, {})).rejects.toThrow("There are 2 projects: shop, api.");
  });
});

describe("choosing a runner", () => {
  it("finds by name or id and refuses a name that two have", () => {
    const [first, second] = [runner(), runner()];
    expect(chooseRunner([first], "build-1")).toBe(first);
    expect(chooseRunner([first, second], second.id)).toBe(second);
    expect(() => chooseRunner([first, second], "build-1")).toThrow("Several runners");
    expect(() => chooseRunner([], "x")).toThrow("no runner yet");
  });
});

describe("words for a shell", () => {
  it("quotes only what must be quoted", () => {
    expect([quoteWord("ci"), quoteWord("it's on")]).toEqual(["ci", "'it'\\''s on'"]);
  });
});
