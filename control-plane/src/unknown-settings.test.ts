import { expect, it } from "vitest";
import { unknownSettings } from "./unknown-settings.ts";

it.each([
  ["SHIPFOX_ALOW_SIGNUP", "did you mean SHIPFOX_ALLOW_SIGNUP?"],
  ["SHIPFOX_PUBLIC_ULR", "did you mean SHIPFOX_PUBLIC_URL?"],
  ["SHIPFOX_ROOT_KEY_FLE", "did you mean SHIPFOX_ROOT_KEY_FILE?"],
  ["SHIPFOX_PORT", "did you mean PORT?"],
  ["SHIPFOX_ALLOWED_EMAILS", "did you mean ALLOWED_EMAILS?"],
  ["SHIPFOX_SMTP_USERNAME", "shipfox-control-plane config lists all"],
])("says that %s is no setting, and does not show what it is", (name, advice) => {
  expect(unknownSettings({ [name]: "hunter2" })).toEqual([`${name} is no setting and has no effect; ${advice}`]);
});

it("leaves alone what is known, what is empty, and what others read", () => {
  const names = [
    "SHIPFOX_PUBLIC_URL",
    "SHIPFOX_ROOT_KEY_FILE",
    "SHIPFOX_RUNNER_NAME",
    "SHIPFOX_PROVISIONER_TOKEN_FILE",
    "SHIPFOX_URL",
    "SHIPFOX_TOKEN",
    "SHIPFOX_CONTEXT",
    "SHIPFOX_CONFIG_DIR",
    "SHIPFOX_SETUP_TOKEN",
    "SHIPFOX_RUN_ID",
    "SHIPFOX_JOB_KEY",
    "SHIPFOX_SERVICE_HOST",
    "SHIPFOX_PORT_16101_TCP_ADDR",
    "PORTS",
  ];
  expect(unknownSettings(Object.fromEntries(names.map((name) => [name, "x"])))).toEqual([]);
  expect(unknownSettings({ SHIPFOX_ALOW_SIGNUP: "", SHIPFOX_PORT: "tcp://10.0.0.1:16101" })).toEqual([]);
});
