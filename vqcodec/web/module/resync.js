/** Finding whole chunks among bytes whose beginning is lost, in work that is proportional to the bytes. */

import { crc32, crc32AheadOf, fromLittleEndian } from "./checksums.js";
import { CRC_BYTES, bodyBytesOrNull, headAt, headBytesAt, positionOf } from "./records.js";

/** @typedef {{start: number, head: import("./records.js").Head, position: number}} Found */

const MOST_BYTES = 2 ** 21; // of a head and its body: no payload has more than 2 ** 20
const TURN_STEPS = 2 ** 20; // some milliseconds
const CANDIDATE_STEPS = 128; // that looking at one costs, beside one for each byte

/**
 * Yield what is a chunk by its head, by its checksum at some position, and by the head or the end that follows, in the
 * order in which they end. One CRC runs over all bytes; the checksum of each candidate follows from its values at both
 * ends. Yields null now and then, so that others have their turn.
 * @param {Uint8Array} file @param {number} from where to begin @param {import("./header.js").Header} header
 * @param {number} near a position in frames, as of `positionOf`
 * @returns {Generator<Found | null>}
 */
export function* findWholeChunks(file, from, header, near) {
  const waiting = new Heap();
  let [crc, done, steps] = [0, from, 0];
  const crcAt = (/** @type {number} */ at) => {
    crc = crc32(file.subarray(done, at), crc);
    done = at;
    return crc;
  };
  for (let at = from; at <= file.length; at++) {
    for (; waiting.first <= at; steps += CANDIDATE_STEPS) {
      const { start, end, crcOfStart } = waiting.pop();
      const known = { start: crcOfStart, end: crcAt(end), lengthBytes: end - start };
      const position = positionIn(file, known, near, end);
      const head = position === null ? null : headAt(file, start);
      if (position !== null && head) yield { start, head, position };
    }
    if (++steps > TURN_STEPS) {
      yield null;
      steps = 0;
    }
    const head = at < file.length && file[at] >= 0x40 && file[at] <= 0x45 ? headAt(file, at) : null;
    const length = head && bodyBytesOrNull(head, header);
    if (head && length !== null) waiting.push(at, at + head.headBytes + length, crcAt(at));
  }
}

/**
 * The position of a candidate whose body ends at `end`, if what stands behind it can.
 * @param {Uint8Array} file @param {Parameters<typeof crc32AheadOf>[1]} known @param {number} near @param {number} end
 */
function positionIn(file, known, near, end) {
  const next = end + CRC_BYTES;
  if (next > file.length || (next < file.length && !headBytesAt(file, next))) return null;
  return positionOf(crc32AheadOf(fromLittleEndian(file, end, next), known), near);
}

/** A binary heap of candidates, the one that ends first on top; of two, the one that starts first. Numbers: nothing to collect. */
class Heap {
  /** @type {number[]} */
  #keys = [];
  /** @type {number[]} */
  #crcs = [];

  /** Where the first one ends. */
  get first() {
    return this.#keys.length ? Math.floor(this.#keys[0] / MOST_BYTES) : Infinity;
  }

  /** @param {number} start @param {number} end @param {number} crcOfStart */
  push(start, end, crcOfStart) {
    const [keys, crcs] = [this.#keys, this.#crcs];
    const key = end * MOST_BYTES + (MOST_BYTES - 1 - (end - start)); // below 2 ** 53, of up to 4 GB
    let index = keys.push(key) - 1;
    crcs.push(crcOfStart);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (keys[parent] < key) break;
      keys[index] = keys[parent];
      crcs[index] = crcs[parent];
      index = parent;
    }
    keys[index] = key;
    crcs[index] = crcOfStart;
  }

  /** Take the first one. */
  pop() {
    const [keys, crcs] = [this.#keys, this.#crcs];
    const end = this.first;
    const top = { start: end - (MOST_BYTES - 1 - (keys[0] % MOST_BYTES)), end, crcOfStart: crcs[0] };
    const [key, crc] = [Number(keys.pop()), Number(crcs.pop())];
    if (!keys.length) return top;
    let index = 0;
    for (let child = 1; child < keys.length; child = 2 * index + 1) {
      if (child + 1 < keys.length && keys[child + 1] < keys[child]) child++;
      if (key < keys[child]) break;
      keys[index] = keys[child];
      crcs[index] = crcs[child];
      index = child;
    }
    keys[index] = key;
    crcs[index] = crc;
    return top;
  }
}
