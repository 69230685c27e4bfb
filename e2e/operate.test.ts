import { describe, expect, it } from "vitest";
import { Child } from "./src/child.ts";
import { ControlPlane, freePort } from "./src/control-plane.ts";
import { CONTROL_PLANE } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";

describe("the metrics of a control plane", () => {
  const stage = useStage();

  it("are served on their own address alone, and one that is taken is named", async () => {
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const plane = await ControlPlane.start(stage, { env: { SHIPFOX_METRICS_LISTEN: address } });
    const reply = await fetch(`http://${address}/metrics`);
    expect(reply.status).toBe(200);
    expect(reply.headers.get("content-type")).toContain("version=0.0.4");
    expect(await reply.text()).toMatch(
      /^shipfox_control_plane_http_requests_total\{route="\/readyz",.*status="2xx"\} \d+$/m,
    );
    expect((await fetch(`http://${address}/readyz`)).status).toBe(404);
    expect((await fetch(`${plane.url}/metrics`)).status).toBe(404);

    const second = stage.addChild(
      new Child("second", CONTROL_PLANE, [], {
        PORT: "0",
        SHIPFOX_DATA_DIR: await stage.folder("second"),
        SHIPFOX_METRICS_LISTEN: address,
      }),
    );
    expect(await second.exited).toMatchObject({ code: 1 });
    expect(second.output).toContain("the metrics cannot be served");
    expect(second.output).toContain("--metrics-listen");
  });
});
