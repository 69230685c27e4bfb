/** The firmware starts from no disk that is much smaller. */
const DISK_BYTES = 1024 ** 2;
/** Copies the first 4 KiB of the second disk (the seed) to the serial console, without zeros: what follows comes after it. */
const PRINT_SEED = `
  31c0 8ed8 8ec0 8ed0 bc007c fc    // real mode: segments 0, a stack, upwards
  b442 b281 be407c cd13            // int 13h, extended read of drive 81h, packet at 7c40h
  be0080 b90010                    // from 8000h, 1000h bytes
  ac 84c0 7410                     // next byte; zeros are left out
  88c3 bafd03 ec a820 74fb         // wait until the port takes one
  88d8 baf803 ee                   // out
  e2e9`;
const PRINT_SEED_BYTES = 0x32;
const PACKET_OFFSET = 0x40;
/** Eight sectors to 0000:8000 from block 0. */
const PACKET = "1000 0800 0080 0000 0000000000000000";
const ENDINGS = {
  /** hlt, for ever. */
  stay: "f4 ebfd",
  /** ACPI's soft-off by the port of machine type q35. */
  powerOff: "ba0406 b80020 ef ebfe",
};

/**
 * A disk that needs no operating system: a machine that boots from it prints its seed on the serial console within
 * half a second and then stays, or turns itself off.
 */
export function bootableDisk(ending: keyof typeof ENDINGS): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  machineCode(PRINT_SEED).copy(disk, 0);
  machineCode(ENDINGS[ending]).copy(disk, PRINT_SEED_BYTES);
  machineCode(PACKET).copy(disk, PACKET_OFFSET);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

function machineCode(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\/\/.*$/gm, "").replaceAll(/\s/g, ""), "hex");
}
