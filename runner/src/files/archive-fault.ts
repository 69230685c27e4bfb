/** An archive, or what should become one, that is refused; the message is one sentence for people. */
export class ArchiveFault extends Error {
  override readonly name = "ArchiveFault";
}
