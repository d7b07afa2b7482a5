/** Finding whole chunks among bytes whose beginning is lost, in work that is proportional to the bytes. */

import { crc32, crc32AheadOf, fromLittleEndian } from "./checksums.js";
import { CRC_BYTES, bodyBytesOrNull, headAt, positionOf } from "./records.js";

/** @typedef {import("./records.js").Head} Head */
/** @typedef {{bodyEnd: number, start: number, crc: number, head: Head}} Candidate What looks like a head. */

/**
 * Yield what is a chunk by its head, by its checksum at some position, and by the head or the end that follows, in the
 * order in which they end. One CRC runs over all bytes; the checksum of each candidate follows from its values at both
 * ends.
 * @param {Uint8Array} file @param {number} from where to begin @param {import("./header.js").Header} header
 * @param {number} near a position in frames, as of `positionOf`
 * @returns {Generator<{start: number, head: Head, position: number}>}
 */
export function* findWholeChunks(file, from, header, near) {
  const waiting = new Heap();
  let [crc, done] = [0, from];
  for (let at = from; at <= file.length; at++) {
    while (waiting.first && waiting.first.bodyEnd <= at) {
      const candidate = waiting.pop();
      crc = crc32(file.subarray(done, candidate.bodyEnd), crc);
      done = candidate.bodyEnd;
      const position = positionIn(file, candidate, crc, near);
      if (position !== null) yield { start: candidate.start, head: candidate.head, position };
    }
    const head = at < file.length && file[at] >= 0x40 && file[at] <= 0x45 ? headAt(file, at) : null;
    if (head === null) continue;
    const length = bodyBytesOrNull(head, header);
    if (length === null) continue;
    crc = crc32(file.subarray(done, at), crc);
    done = at;
    waiting.push({ bodyEnd: at + head.headBytes + length, start: at, crc, head });
  }
}

/**
 * The position of the candidate, if what stands behind its body can; `crc`: of all that was searched to the body's end.
 * @param {Uint8Array} file @param {Candidate} candidate @param {number} crc @param {number} near
 */
function positionIn(file, candidate, crc, near) {
  const end = candidate.bodyEnd;
  const next = end + CRC_BYTES;
  if (next > file.length || (next < file.length && headAt(file, next) === null)) return null;
  const stored = fromLittleEndian(file.subarray(end, next));
  const known = { start: candidate.crc, end: crc, lengthBytes: end - candidate.start };
  return positionOf(crc32AheadOf(stored, known), near);
}

/** A binary heap of candidates, the one whose body ends first on top; of two, the one that starts first. */
class Heap {
  /** @type {Candidate[]} */
  #items = [];

  get first() {
    return this.#items[0];
  }

  /** @param {Candidate} item */
  push(item) {
    const items = this.#items;
    let index = items.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(items[parent], item)) break;
      items[index] = items[parent];
      index = parent;
    }
    items[index] = item;
  }

  pop() {
    const items = this.#items;
    const top = items[0];
    const item = /** @type {Candidate} */ (items.pop());
    if (!items.length) return top;
    let index = 0;
    for (let child = 1; child < items.length; child = 2 * index + 1) {
      if (child + 1 < items.length && isBefore(items[child + 1], items[child])) child++;
      if (isBefore(item, items[child])) break;
      items[index] = items[child];
      index = child;
    }
    items[index] = item;
    return top;
  }
}

/** @param {Candidate} one @param {Candidate} other */
const isBefore = (one, other) => one.bodyEnd < other.bodyEnd || (one.bodyEnd === other.bodyEnd && one.start < other.start);
