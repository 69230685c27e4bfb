/** Where the bytes of a blob are: two ids, of which the second is random. */
export interface BlobPlace {
  readonly workspaceId: string;
  readonly blobId: string;
}

/**
 * Keeps the bytes of artifacts and caches. Knows nothing of what they are for, who may have them and for how long.
 *
 * A blob is written front to back by one caller at a time; different blobs side by side. What `write` has answered survives a
 * crash of the process and of the machine. All reject with 507 `storage-full` when there is no room.
 */
export interface BlobStore {
  /** Bytes that are there, on the disk for good; 0 when there is nothing. */
  length(place: BlobPlace): Promise<number>;
  /** Puts a chunk at a position, which is at most the length. Whatever lay behind it is not to be relied on. */
  write(place: BlobPlace, position: number, chunk: Uint8Array): Promise<void>;
  /** `length` bytes from `position` on, in pieces; fails when there are fewer. */
  read(place: BlobPlace, position: number, length: number): AsyncIterable<Buffer>;
  /** Nothing happens when it is not there. */
  remove(place: BlobPlace): Promise<void>;
}
