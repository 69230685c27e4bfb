import { Ec2MetadataServer } from "@shipfox/shared/ec2-metadata.fixture";
import { createLogger } from "@shipfox/shared/logger";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { watchForEc2Notice } from "./ec2-notice.ts";

const ACTION = "/latest/meta-data/spot/instance-action";
const REBALANCE = "/latest/meta-data/events/recommendations/rebalance";

let metadata: Ec2MetadataServer;
let notices: string[];
let stop: () => void;

beforeEach(async () => {
  metadata = await Ec2MetadataServer.start();
  notices = [];
  stop = watchForEc2Notice({
    baseUrl: metadata.url,
    logger: createLogger("test", "silent"),
    onNotice: (what) => notices.push(what),
    intervalMs: 10,
  });
});
afterEach(async () => {
  stop();
  await metadata.close();
});

const count = (call: string) => metadata.calls.filter((made) => made === call).length;

describe("a notice of EC2", () => {
  it("is given once when the interruption is announced, by a token that is asked for once", async () => {
    await vi.waitFor(() => expect(count(`GET ${ACTION} 404`)).toBeGreaterThan(2));
    expect(notices).toEqual([]);
    metadata.pages.set(ACTION, '{"action":"terminate"}');
    await vi.waitFor(() => expect(notices).toEqual(["spot/instance-action"]));
    expect(count("PUT /latest/api/token 200")).toBe(1);
    expect(count(`GET ${ACTION} 200`)).toBe(1);
  });

  it("is given when Amazon recommends to leave", async () => {
    metadata.pages.set(REBALANCE, '{"noticeTime":"2026-01-01T00:00:00Z"}');
    await vi.waitFor(() => expect(notices).toEqual(["events/recommendations/rebalance"]));
  });

  it("is found after the token has expired", async () => {
    await vi.waitFor(() => expect(count(`GET ${ACTION} 404`)).toBeGreaterThan(0));
    metadata.expireTokens();
    metadata.pages.set(ACTION, "{}");
    await vi.waitFor(() => expect(notices).toHaveLength(1));
    expect(count("PUT /latest/api/token 200")).toBe(2);
  });
});
