/** Writing .vqc files; the format is described in vqcodec/bitstream/spec.py. */

import { joined, varint } from "./bytes.js";
import { littleEndian } from "./checksums.js";
import { RangeEncoder } from "./rangecoder.js";
import { CODING_ENTROPY, CODING_FIXED, Head, TAG_TAGS, parts as record } from "./records.js";

/** @typedef {import("./entropy.js").EntropyModel} EntropyModel */

const MAX_TAGS_BYTES = 65535;

/**
 * Return the bytes of a file: codes [C, K, F], F the frames that the header's samples need. Chunks are stored
 * entropy-coded where `entropy`, the model's, makes them smaller. The bytes are those that vqcodec writes.
 * @param {import("./header.js").Header} header @param {Int32Array} codes
 * @param {{entropy?: EntropyModel | null, tags?: Record<string, string>, framesPerChunk?: number}} [options]
 */
export function writeVqc(header, codes, { entropy = null, tags = {}, framesPerChunk = 256 } = {}) {
  const rows = header.channels * header.numCodebooks;
  const frames = header.frames;
  if (frames === null || codes.length !== rows * frames)
    throw new RangeError(`${codes.length} codes are not those of ${frames} frames`);
  const tagsBody = tagsToBytes(tags);
  /** @type {Uint8Array[]} */
  const parts = [header.toBytes()];
  if (tagsBody.length) parts.push(...record(new Head(TAG_TAGS, tagsBody.length), tagsBody, 0));
  for (let start = 0; start < frames; start += framesPerChunk) {
    const count = Math.min(framesPerChunk, frames - start);
    const block = new Int32Array(rows * count);
    for (let row = 0; row < rows; row++)
      block.set(codes.subarray(row * frames + start, row * frames + start + count), row * count);
    const { coding, payload } = packCodes(block, header, count, entropy);
    const size = coding === CODING_FIXED ? null : payload.length;
    parts.push(...record(new Head(0x40 | (coding << 1), count, size), payload, start));
  }
  return joined(parts);
}

/**
 * @param {Int32Array} codes [C, K, frames] @param {import("./header.js").Header} header @param {number} frames
 * @param {EntropyModel | null} entropy
 */
function packCodes(codes, header, frames, entropy) {
  const { channels, numCodebooks, bitsPerCode } = header;
  const rowOf = (/** @type {number} */ channel, /** @type {number} */ layer, layers = 1) => {
    const at = (channel * numCodebooks + layer) * frames;
    return codes.subarray(at, at + layers * frames);
  };
  const fixed = Array.from({ length: numCodebooks }, (_, layer) =>
    packFixed(Array.from({ length: channels }, (_, channel) => rowOf(channel, layer)), bitsPerCode),
  );
  const plain = { coding: CODING_FIXED, payload: joined(fixed) };
  if (!entropy) return plain;
  const layers = fixed.map((bytes, layer) => {
    if (layer >= entropy.numLayers) return bytes;
    const coder = new RangeEncoder();
    for (let channel = 0; channel < channels; channel++) {
      const own = rowOf(channel, layer);
      const weights = entropy.channel(layer, layer ? rowOf(channel, 0, layer) : own, frames);
      own.forEach((code, frame) => {
        const ends = weights(frame);
        const start = code ? ends[code - 1] : 0;
        coder.encode(start, ends[code] - start, ends[ends.length - 1]);
      });
    }
    const coded = coder.finish();
    return coded.length < bytes.length ? coded : bytes;
  });
  const payload = joined([...layers.map((layer, index) => varint(fixed[index].length - layer.length)), ...layers]);
  return payload.length + 3 < plain.payload.length ? { coding: CODING_ENTROPY, payload } : plain;
}

/** @param {Int32Array[]} rows @param {number} bits */
export function packFixed(rows, bits) {
  const bytes = [];
  let [register, filled] = [0, 0]; // at most 7 + 16 bits
  for (const row of rows)
    for (const code of row) {
      register = ((register & 0xff) << bits) | code;
      for (filled += bits; filled >= 8; filled -= 8) bytes.push((register >> (filled - 8)) & 0xff);
    }
  if (filled) bytes.push((register << (8 - filled)) & 0xff);
  return Uint8Array.from(bytes);
}

/** @param {Record<string, string>} tags */
function tagsToBytes(tags) {
  const entries = Object.keys(tags)
    .sort()
    .map((name) => {
      if (!/^[a-z0-9_.-]{1,64}$/.test(name) || /[\0\r]/.test(tags[name])) throw new RangeError(`no tag can be ${name}`);
      return new TextEncoder().encode(`${name}=${tags[name]}`);
    });
  const body = joined(entries.flatMap((entry) => [littleEndian(entry.length, 2), entry]));
  if (body.length > MAX_TAGS_BYTES) throw new RangeError(`tags of ${body.length} bytes are over ${MAX_TAGS_BYTES}`);
  return body;
}
