// Makes one machine in a process of its own, which the test then kills: argv holds the JSON of what it needs.
import { qemuDriver } from "./qemu-driver.ts";

const { environment, request } = JSON.parse(process.argv[2] ?? "");
const provider = await qemuDriver.open(qemuDriver.settingsSchema.parse({ accel: "tcg" }), environment);
await provider.create(request, new AbortController().signal);
console.log("made");
setInterval(() => undefined, 60_000);
