/** A .vqc that is read while it comes. */

import { VqcError } from "./errors.js";
import { VqcReader } from "./reader.js";

const MAX_FILE_BYTES = 2 ** 28; // days of speech
const FIRST_BYTES = 2 ** 16;

/**
 * Open a .vqc as soon as its header and its tags have come; the rest comes while the reader is used. `whole` resolves
 * when all is there, and rejects where the stream breaks: the reader then ends where the bytes do. Throws what `VqcReader`
 * does, and VqcError for a file of over 256 MB.
 * @param {ReadableStream<Uint8Array>} stream @returns {Promise<{reader: VqcReader, whole: Promise<void>}>}
 */
export async function openArriving(stream) {
  const parts = new Parts(stream);
  while (!parts.isWhole && !VqcReader.canOpen(parts.bytes)) await parts.more();
  const reader = new VqcReader(parts.bytes, parts.isWhole);
  return { reader, whole: rest(parts, reader) };
}

/** @param {Parts} parts @param {VqcReader} reader */
async function rest(parts, reader) {
  try {
    while (!parts.isWhole) {
      await parts.more();
      reader.grow(parts.bytes, parts.isWhole);
    }
  } finally {
    reader.grow(parts.bytes, true);
  }
}

/** What has come of a stream, in one array that grows. */
class Parts {
  bytes = new Uint8Array();
  isWhole = false;

  /** @param {ReadableStream<Uint8Array>} stream */
  constructor(stream) {
    this.#source = stream.getReader();
  }

  #source;
  #room = new Uint8Array(FIRST_BYTES);

  /** Wait for the next bytes, or for the end. */
  async more() {
    const { done, value } = await this.#source.read();
    this.isWhole = done;
    if (!value) return;
    const length = this.bytes.length + value.length;
    if (length > MAX_FILE_BYTES) {
      void this.#source.cancel();
      throw new VqcError(`the file has more than ${MAX_FILE_BYTES} bytes`);
    }
    if (length > this.#room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.length));
      room.set(this.bytes);
      this.#room = room;
    }
    this.#room.set(value, this.bytes.length);
    this.bytes = this.#room.subarray(0, length);
  }
}
