import { describe, expect, it } from "vitest";
import { canLieOver, planAccount } from "./account.ts";

const user = { uid: 10001, gid: 10001 };

describe("account", () => {
  it("adds a line for a user that the image does not know", () => {
    expect(planAccount(user, "root:x:0:0::/root:/bin/sh", "root:x:0:")).toMatchObject({
      name: "shipfox",
      home: "/home/shipfox",
      passwd: "root:x:0:0::/root:/bin/sh\nshipfox:x:10001:10001::/home/shipfox:/bin/sh\n",
      group: "root:x:0:\nshipfox:x:10001:\n",
    });
  });

  it("keeps the image's own name and home", () => {
    const passwd = "root:x:0:0::/root:/bin/sh\nnode:x:10001:10001::/home/node:/bin/bash\n";
    expect(planAccount(user, passwd, "node:x:10001:\n")).toMatchObject({
      name: "node",
      home: "/home/node",
      passwd: null,
      group: null,
    });
  });

  it("gives a home to a user whose line has none", () => {
    expect(planAccount(user, "svc:x:10001:10001::/nonexistent:/usr/sbin/nologin\n", "")).toMatchObject({
      home: "/home/svc",
    });
  });

  it("lies over the image, except over what root may want to change and where a known user has no home", () => {
    const own = "node:x:10001:10001::/home/node:/bin/sh\n";
    const root = { uid: 0, gid: 0 };
    const [stranger, known] = [planAccount(user, "", ""), planAccount(user, own, "node:x:10001:\n")];
    expect([canLieOver(stranger, false), canLieOver(known, true), canLieOver(known, false)]).toEqual([
      true,
      true,
      false,
    ]);
    const lineOfRoot = "root:x:0:0::/root:/bin/sh\n";
    expect(canLieOver(planAccount(root, lineOfRoot, "root:x:0:\n"), true)).toBe(true);
    expect(canLieOver(planAccount(root, "", ""), true)).toBe(false);
  });

  it("takes another name when its own is taken, and works with an empty image", () => {
    expect(planAccount(user, "shipfox:x:5:5::/x:/bin/sh\n", "").name).toBe("shipfox2");
    expect(planAccount(user, "", "").passwd).toBe("shipfox:x:10001:10001::/home/shipfox:/bin/sh\n");
  });
});
