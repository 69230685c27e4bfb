const HEADER_BYTES = 8;

/** What a container printed, out of the engine's frames: a byte for the stream, three of nothing, four for the length, the bytes. */
export function outputOfFrames(frames: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= frames.length; ) {
    const end = at + HEADER_BYTES + frames.readUInt32BE(at + HEADER_BYTES / 2);
    parts.push(frames.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(parts);
}
