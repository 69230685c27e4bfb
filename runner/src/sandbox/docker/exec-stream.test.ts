import { expect, it } from "vitest";
import { readFrames } from "./exec-stream.ts";

function frame(stream: number, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

it("takes frames apart wherever the connection cuts them", async () => {
  const bytes = Buffer.concat([frame(1, "out"), frame(2, "err"), frame(1, ""), frame(1, "漢字")]);
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    const seen = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    for await (const { stream, chunk } of readFrames(pieces())) seen[stream].push(chunk);
    expect(Buffer.concat(seen.stdout).toString()).toBe("out漢字");
    expect(Buffer.concat(seen.stderr).toString()).toBe("err");
  }
});
