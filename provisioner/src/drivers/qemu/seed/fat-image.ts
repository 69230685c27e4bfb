const SECTOR = 512;
const SECTORS = 8_192;
const FAT_COUNT = 2;
/** Two bytes for each of the at most 8,192 clusters of one sector. */
const FAT_SECTORS = 32;
const ROOT_ENTRIES = 512;
const ENTRY = 32;
const RESERVED_SECTORS = 1;
const FIRST_ROOT_SECTOR = RESERVED_SECTORS + FAT_COUNT * FAT_SECTORS;
const FIRST_DATA_SECTOR = FIRST_ROOT_SECTOR + (ROOT_ENTRIES * ENTRY) / SECTOR;
const FIRST_CLUSTER = 2;
const MEDIA_FIXED_DISK = 0xf8;
const END_OF_CHAIN = 0xffff;
const ATTRIBUTE_VOLUME = 0x08;
const ATTRIBUTE_LONG_NAME = 0x0f;
const CHARS_PER_ENTRY = 13;
/** Where the 13 UTF-16 characters of a long name's entry stand in it. */
const CHAR_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LAST_LONG_ENTRY = 0x40;
const MAX_FILES = 16;

export interface ImageFile {
  /** 1 to 64 characters of printable ASCII without the slash. */
  readonly name: string;
  readonly content: Buffer;
}

/**
 * A disk image of 4 MiB with one FAT16 file system, as a removable disk would have it (Microsoft, "FAT: General Overview of On-Disk
 * Format", 1.03). `label` is of up to 11 capital letters. Throws RangeError when the files do not fit.
 */
export function fatImage(label: string, files: readonly ImageFile[]): Buffer {
  if (files.length > MAX_FILES) throw new RangeError(`at most ${MAX_FILES} files`);
  const image = Buffer.alloc(SECTORS * SECTOR);
  writeBootSector(image, label);
  const fat = Buffer.alloc(FAT_SECTORS * SECTOR);
  fat.writeUInt16LE(0xff00 | MEDIA_FIXED_DISK, 0);
  fat.writeUInt16LE(END_OF_CHAIN, 2);
  const entries: Buffer[] = [shortEntry(shortName(label), ATTRIBUTE_VOLUME, 0, 0)];
  let cluster = FIRST_CLUSTER;
  files.forEach(({ name, content }, index) => {
    const count = Math.ceil(content.length / SECTOR);
    if (FIRST_DATA_SECTOR + cluster - FIRST_CLUSTER + count > SECTORS) throw new RangeError("the files do not fit");
    entries.push(...fileEntries(name, index, count === 0 ? 0 : cluster, content.length));
    content.copy(image, (FIRST_DATA_SECTOR + cluster - FIRST_CLUSTER) * SECTOR);
    for (let at = 0; at < count; at++) {
      fat.writeUInt16LE(at === count - 1 ? END_OF_CHAIN : cluster + at + 1, (cluster + at) * 2);
    }
    cluster += count;
  });
  for (let copy = 0; copy < FAT_COUNT; copy++) fat.copy(image, (RESERVED_SECTORS + copy * FAT_SECTORS) * SECTOR);
  Buffer.concat(entries).copy(image, FIRST_ROOT_SECTOR * SECTOR);
  return image;
}

function writeBootSector(image: Buffer, label: string): void {
  Buffer.from([0xeb, 0x3c, 0x90]).copy(image, 0);
  image.write("SHIPFOX ", 3, "latin1");
  image.writeUInt16LE(SECTOR, 11);
  image.writeUInt8(1, 13);
  image.writeUInt16LE(RESERVED_SECTORS, 14);
  image.writeUInt8(FAT_COUNT, 16);
  image.writeUInt16LE(ROOT_ENTRIES, 17);
  image.writeUInt16LE(SECTORS, 19);
  image.writeUInt8(MEDIA_FIXED_DISK, 21);
  image.writeUInt16LE(FAT_SECTORS, 22);
  // Geometry of a disk that nobody asks any more, but some readers check.
  image.writeUInt16LE(32, 24);
  image.writeUInt16LE(2, 26);
  image.writeUInt8(0x80, 36);
  // The extended part: its mark, a serial number, the label, the type.
  image.writeUInt8(0x29, 38);
  image.writeUInt32LE(0x53465831, 39);
  image.write(shortName(label), 43, "latin1");
  image.write("FAT16   ", 54, "latin1");
  image.writeUInt16LE(0xaa55, 510);
}

/** The entries of a file: its long name in pieces, the last one first, then the short one that old readers see. */
function fileEntries(name: string, index: number, cluster: number, size: number): Buffer[] {
  if (!/^[\x20-\x2e\x30-\x7e]{1,64}$/.test(name)) throw new RangeError(`"${name}" cannot name a file of the seed`);
  const short = shortName(`FILE${index}`);
  const checksum = Buffer.from(short, "latin1").reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
  const pieces = Math.ceil(name.length / CHARS_PER_ENTRY);
  const long = Array.from({ length: pieces }, (_, piece) => longEntry(name, piece, piece === pieces - 1, checksum));
  return [...long.reverse(), shortEntry(short, 0, cluster, size)];
}

function longEntry(name: string, piece: number, last: boolean, checksum: number): Buffer {
  const entry = Buffer.alloc(ENTRY);
  entry.writeUInt8((piece + 1) | (last ? LAST_LONG_ENTRY : 0), 0);
  entry.writeUInt8(ATTRIBUTE_LONG_NAME, 11);
  entry.writeUInt8(checksum, 13);
  CHAR_OFFSETS.forEach((offset, at) => {
    const position = piece * CHARS_PER_ENTRY + at;
    // After the name one zero, then filling.
    const filling = position === name.length ? 0 : 0xffff;
    entry.writeUInt16LE(position < name.length ? name.charCodeAt(position) : filling, offset);
  });
  return entry;
}

function shortEntry(name: string, attribute: number, cluster: number, size: number): Buffer {
  const entry = Buffer.alloc(ENTRY);
  entry.write(name, 0, "latin1");
  entry.writeUInt8(attribute, 11);
  entry.writeUInt16LE(cluster, 26);
  entry.writeUInt32LE(size, 28);
  return entry;
}

function shortName(name: string): string {
  return name.padEnd(11, " ");
}
