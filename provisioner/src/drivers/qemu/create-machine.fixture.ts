// Makes one machine in a process of its own, which a test then kills: argv holds the JSON of what it needs.
import { setTimeout as pause } from "node:timers/promises";
import { qemuDriver } from "./qemu-driver.ts";

const LOOK_EVERY_MS = 500;

const { environment, request } = JSON.parse(process.argv[2] ?? "");
const { signal } = new AbortController();
const provider = await qemuDriver.open(qemuDriver.settingsSchema.parse({ accel: "tcg" }), environment);
const { providerId } = await provider.create(request, signal);
console.log("made");
process.once("SIGTERM", () => void end());
for (;;) {
  const [machine] = await provider.list(request.tags, signal);
  if (machine?.state === "stopped") console.log("stopped");
  await pause(LOOK_EVERY_MS);
}

async function end(): Promise<void> {
  console.log(await provider.readConsole(providerId, signal));
  await provider.delete({ providerId, tags: request.tags }, signal);
  process.exit();
}
