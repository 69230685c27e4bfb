import type { Definition } from "@shipfox/shared/api/definitions";
import { newId } from "@shipfox/shared/ids";
import { describe, expect, it } from "vitest";
import { chooseDefinition, chooseProject, chooseRun, chooseRunner, chooseWorkspace, quoteWord } from "./choose.ts";
import { openClient } from "./session.ts";
import { definition, membership, project, runFields, runner } from "./testing/fixtures.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

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
    const api = openClient(server.url);
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
    const api = openClient(server.url);
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

describe("choosing a run", () => {
  const NO_JOBS = {
    jobs: [],
    job_status_counts: [],
    job_display_status_counts: [],
    has_started_job_execution: false,
  };
  const nightly = definition({ id: newId(), name: "Nightly", config_path: ".shipfox/workflows/nightly.yml" });

  function serve(server: StandInServer, rows: { id: string; number: number; of: Definition }[]) {
    server.on("GET /workspaces", { body: { memberships: [membership()] } });
    server.on("GET /projects", { body: { projects: [project()], next_cursor: null } });
    server.on("GET /definitions", { body: { definitions: [definition(), nightly], sync: null, next_cursor: null } });
    server.on("GET /workflows/runs", ({ query }) => {
      const wanted = query.get("definition_id");
      const runs = rows
        .filter((row) => wanted === null || row.of.id === wanted)
        .map((row) => ({ ...runFields(), ...NO_JOBS, id: row.id, number: row.number, workflow_name: row.of.name }));
      return { body: { runs, next_cursor: null } };
    });
    return openClient(server.url);
  }

  it("takes a number that only one workflow has, and the workflow with it", async () => {
    await using server = await StandInServer.start();
    const [first, second, third] = [newId(), newId(), newId()];
    const api = serve(server, [
      { id: first, number: 7, of: definition() },
      { id: second, number: 7, of: nightly },
      { id: third, number: 8, of: nightly },
    ]);
    expect(await chooseRun(api, "#8", {})).toBe(third);
    expect(await chooseRun(api, "nightly#7", {})).toBe(second);
    expect(await chooseRun(api, "ci#7", {})).toBe(first);
    expect(await chooseRun(api, first.toUpperCase(), {})).toBe(first);
    await expect(chooseRun(api, "7", {})).rejects.toMatchObject({
      message: "Each workflow counts its own runs, and 2 have a run 7: CI#7, Nightly#7.",
      next: ["type CI#7 instead of 7"],
    });
    await expect(chooseRun(api, "nightly#6", {})).rejects.toThrow("Nightly has no run 6.");
    await expect(chooseRun(api, "9", {})).rejects.toThrow("None of the newest 100 runs of shop has the number 9.");
    await expect(chooseRun(api, "seven", {})).rejects.toThrow("nor its workflow and number (ci#7)");
  });

  it("asks for the id when the workflows have the same name too", async () => {
    await using server = await StandInServer.start();
    const twin = definition({ id: newId() });
    const ids = [newId(), newId()];
    const api = serve(server, [
      { id: ids[0] as string, number: 7, of: definition() },
      { id: ids[1] as string, number: 7, of: twin },
    ]);
    await expect(chooseRun(api, "7", {})).rejects.toMatchObject({
      message: expect.stringContaining(`${ids[0]} (CI), ${ids[1]} (CI)`),
      next: ["name the run by its id"],
    });
  });
});

describe("choosing a runner", () => {
  it("finds by name or id and refuses a name that two have", () => {
    const [first, second] = [runner(), runner()];
    expect(chooseRunner([first], "build-1")).toBe(first);
    expect(chooseRunner([first, second], second.id)).toBe(second);
    expect(() => chooseRunner([first, second], "build-1")).toThrow("Several runners");
    expect(() => chooseRunner([], "x")).toThrow("no runner yet");
    const gone = Array.from({ length: 12 }, (_, index) => runner({ name: `gone-${index}`, state: "offline" }));
    const choices = 'There is no runner "x"; there are: build-1, busy-1, gone-0, gone-1, gone-2';
    const many = [...gone, first, runner({ name: "busy-1", state: "busy" })];
    expect(() => chooseRunner(many, "x")).toThrow(choices);
    expect(() => chooseRunner(many, "x")).toThrow("gone-7 and 4 more.");
  });
});

describe("words for a shell", () => {
  it("quotes only what must be quoted", () => {
    expect([quoteWord("ci"), quoteWord("it's on")]).toEqual(["ci", "'it'\\''s on'"]);
  });
});
