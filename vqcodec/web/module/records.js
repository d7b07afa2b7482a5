/** Records of a .vqc file: the guarded head in front of each, its checksum behind, and what the checksum tells. */

import { crc32, crc32Backwards, crc8, crc8StepBack, fromLittleEndian, littleEndian } from "./checksums.js";
import { VersionError, VqcError } from "./errors.js";
import { MAX_PAYLOAD_BYTES } from "./header.js";

/** @typedef {import("./header.js").Header} Header */

export const CODING_FIXED = 0;
export const CODING_ENTROPY = 1;
export const CODING_DEPTHS = 2;
export const SAMPLES_BYTES = 5;
export const CRC_BYTES = 4;
export const TAG_TAGS = 0x81;
const TAG_CHUNK = 0x40;
const SHORT_HEAD_BYTES = 4;
export const LONGEST_HEAD_BYTES = 7;

/** Tag and value of a record; `size`: body bytes of a chunk that is not of fixed width, null of all others. */
export class Head {
  /** @param {number} tag @param {number} value @param {number | null} size */
  constructor(tag, value, size = null) {
    this.tag = tag;
    this.value = value;
    this.size = size;
    this.isSkippable = (tag & 0x80) !== 0;
    this.isLast = !this.isSkippable && (tag & 1) !== 0;
    this.coding = (tag >> 1) & 31;
    this.frames = this.isSkippable ? 0 : value;
    this.headBytes = headBytes(tag);
  }

  /**
   * Count the bytes between head and checksum. Throws VersionError for a tag of a later version, VqcError for a chunk
   * of impossible size.
   * @param {Header} header
   */
  bodyBytes(header) {
    if (this.isSkippable) return this.value;
    if (!(this.tag & TAG_CHUNK) || this.coding > CODING_DEPTHS)
      throw new VersionError(`the .vqc has a record 0x${this.tag.toString(16).padStart(2, "0")}: a later release wrote it`);
    const fixed = header.numCodebooks * header.layerBytes(this.value);
    if (fixed > MAX_PAYLOAD_BYTES) throw new VqcError(`a chunk of ${fixed} bytes is over ${MAX_PAYLOAD_BYTES}`);
    if (this.value === 0 && !(this.isLast && this.size === null)) throw new VqcError("a chunk has no frames");
    const end = this.isLast ? SAMPLES_BYTES : 0;
    if (this.size === null) return fixed + end;
    const most = this.coding === CODING_DEPTHS ? header.variedBytes(this.value) : fixed + 3 * header.numCodebooks;
    if (this.size < end || this.size > most + end)
      throw new VqcError(`a chunk of ${this.value} frames in ${this.size} bytes cannot be`);
    return this.size;
  }

  /** Return the 4 or 7 bytes of the head. */
  toBytes() {
    const size = this.size === null ? [] : littleEndian(this.size, 3);
    const start = [this.tag, ...littleEndian(this.value, 2), ...size];
    return Uint8Array.from([...start, crc8(Uint8Array.from(start))]);
  }
}

/** Count the bytes between head and checksum; null where no such record can be. */
export function bodyBytesOrNull(/** @type {Head} */ head, /** @type {Header} */ header) {
  try {
    return head.bodyBytes(header);
  } catch (error) {
    if (error instanceof VqcError) return null;
    throw error;
  }
}

/** Count the bytes of the head at `at`; 0 if its checksum fails or a byte is missing. @param {Uint8Array} file @param {number} at */
export function headBytesAt(file, at) {
  const length = at < file.length ? headBytes(file[at]) : SHORT_HEAD_BYTES;
  const end = at + length - 1;
  return end < file.length && crc8(file, at, end) === file[end] ? length : 0;
}

/** Return the head at `at`, or null, as `headBytesAt`. @param {Uint8Array} file @param {number} at */
export function headAt(file, at) {
  const length = headBytesAt(file, at);
  if (!length) return null;
  const size = length > SHORT_HEAD_BYTES ? fromLittleEndian(file, at + 3, at + length - 1) : null;
  return new Head(file[at], fromLittleEndian(file, at + 1, at + 3), size);
}

/**
 * Yield every head that differs in exactly one byte from what stands at the start of `data`: at most eleven.
 * @param {Uint8Array} data
 */
export function* repairedHeads(data) {
  for (const length of [SHORT_HEAD_BYTES, LONGEST_HEAD_BYTES]) {
    if (data.length < length) return;
    let difference = crc8(data.subarray(0, length - 1)) ^ data[length - 1];
    for (let position = length - 1; position >= 0; position--) {
      // The one change of this byte that mends the checksum: each byte further back is a step of the CRC more.
      const candidate = data.slice(0, length);
      candidate[position] ^= difference;
      const head = headAt(candidate, 0);
      if (head?.headBytes === length) yield head;
      difference = crc8StepBack(difference);
    }
  }
}

/** Compute the CRC-32 of a record that stands after `position` frames. */
export function checksum(/** @type {Head} */ head, /** @type {Uint8Array} */ body, /** @type {number} */ position) {
  return crc32(body, crc32(head.toBytes(), crc32(littleEndian(position, 8))));
}

/** Return head, body and checksum of a record. @type {(head: Head, body: Uint8Array, position: number) => Uint8Array[]} */
export const parts = (head, body, position) => [head.toBytes(), body, littleEndian(checksum(head, body, position), CRC_BYTES)];

/**
 * Return the position whose 8 bytes have this CRC-32, below the next multiple of 2 ** 32 after `near`.
 *
 * A CRC of 32 bits takes each value for one such position, so this says where a record belongs if it is whole.
 * @param {number} crcOfPosition @param {number} near
 */
export function positionOf(crcOfPosition, near) {
  const high = Math.floor(near / 2 ** 32);
  return high * 2 ** 32 + crc32Backwards(crcOfPosition, high);
}

/**
 * Return the names and values in the body of the record of tags. Throws VqcError for any that no writer makes.
 * @param {Uint8Array} body @returns {Map<string, string>}
 */
export function parseTags(body) {
  const tags = new Map();
  const texts = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let [position, before] = [0, ""];
  while (position < body.length) {
    const start = position + 2;
    position = start + fromLittleEndian(body.subarray(position, start));
    let text;
    try {
      text = texts.decode(body.subarray(start, position));
    } catch {
      throw new VqcError("a tag of the .vqc is not UTF-8");
    }
    const [, name, value] = /^([a-z0-9_.-]{1,64})=([^\0\r]*)$/.exec(text) ?? [];
    if (name === undefined || name <= before || position > body.length)
      throw new VqcError("the tags of the .vqc are malformed");
    tags.set(name, value);
    before = name;
  }
  return tags;
}

/** Chunks of any coding but the fixed-width one store their size. @param {number} tag */
function headBytes(tag) {
  return !(tag & 0x80) && tag & TAG_CHUNK && (tag >> 1) & 31 ? LONGEST_HEAD_BYTES : SHORT_HEAD_BYTES;
}
