import { describe, expect, it } from "vitest";
import { configCommand } from "./config-command.ts";

const ENV = {
  HOST: "0.0.0.0",
  SHIPFOX_ROOT_KEY: "hunter2",
  SHIPFOX_SMTP_PASSWORD_FILE: "/run/password",
  SHIPFOX_SMTP_HOST: "",
  SHIPFOX_ALOW_SIGNUP: "true",
};

let notes: string[] = [];

function run(words: readonly string[], options: Record<string, boolean> = {}): string {
  let text = "";
  notes = [];
  const output = {
    isTerminal: false,
    print: (line: string) => void (text += `${line}\n`),
    note: (line: string) => void notes.push(line),
    color: (_color: string, part: string) => part,
  };
  configCommand({ words: ["config", ...words], variables: { PORT: "8080" }, options }, ENV, output);
  return text;
}

describe("shipfox-control-plane config", () => {
  it("shows every setting with its value and where that comes from, and no secret", () => {
    const text = run([]);
    expect(text).toMatch(/^PORT +flag +8080$/m);
    expect(text).toMatch(/^HOST +environment +0\.0\.0\.0$/m);
    expect(text).toMatch(/^SHIPFOX_DATA_DIR +default +\.\/data$/m);
    expect(text).toMatch(/^SHIPFOX_SMTP_HOST +unset +-$/m);
    expect(text).toMatch(/^SHIPFOX_ROOT_KEY +environment +\*+$/m);
    expect(text).toMatch(/^SHIPFOX_SMTP_PASSWORD +file +\*+$/m);
    expect(text).not.toContain("hunter2");
  });

  it("explains one, by its variable or its flag, also as a document", () => {
    expect(run(["host"])).toBe(
      "HOST=0.0.0.0\n  from: environment\n  flag: --host\n  address to listen on; 0.0.0.0 for all\n",
    );
    expect(run(["SHIPFOX_ROOT_KEY"])).toContain("SHIPFOX_ROOT_KEY_FILE names a file that holds it");
    const { settings } = JSON.parse(run(["PORT"], { json: true })) as { settings: unknown[] };
    expect(settings).toMatchObject([{ variable: "PORT", value: "8080", source: "flag", flag: "--port" }]);
  });

  it("says which variable is none, beside what it shows", () => {
    expect(JSON.parse(run([], { json: true }))).toHaveProperty("settings");
    expect(notes).toEqual(["SHIPFOX_ALOW_SIGNUP is no setting and has no effect; did you mean SHIPFOX_ALLOW_SIGNUP?"]);
  });

  it("names the setting that was meant", () => {
    expect(() => run(["SHIPFOX_PUBLIC_ULR"])).toThrow(
      "did you mean SHIPFOX_PUBLIC_URL? shipfox-control-plane config lists all",
    );
  });
});
