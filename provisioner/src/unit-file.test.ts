import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const UNIT = new URL("../systemd/shipfox-provisioner.service", import.meta.url);

function hasSystemd(): boolean {
  return spawnSync("systemd-analyze", ["--version"]).status === 0;
}

describe.skipIf(!hasSystemd())("the unit file", () => {
  it("is accepted by systemd without a remark, takes rights away, and lets machines outlive the service", () => {
    const folder = mkdtempSync(join(tmpdir(), "shipfox-unit-"));
    try {
      const text = readFileSync(UNIT, "utf8");
      expect(text).toMatch(/^KillMode=process$/m);
      const unit = join(folder, "shipfox-provisioner.service");
      // The command and the account come with the installation.
      const here = text
        .replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath}`)
        .replace(/^(User|Group)=.*$/gm, "$1=daemon");
      writeFileSync(unit, here);
      const verified = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
      expect({ status: verified.status, remarks: verified.stderr }).toEqual({ status: 0, remarks: "" });
      const options = ["security", "--offline=true", "--json=short", unit];
      const json = execFileSync("systemd-analyze", options, { encoding: "utf8" });
      const findings = JSON.parse(json) as { json_field?: string; set: boolean | null }[];
      const isSet = (field: string) => findings.find(({ json_field }) => json_field === field)?.set;
      for (const field of ["NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp"])
        expect([field, isSet(field)]).toEqual([field, true]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
