/** The codes of a chunk, as far as they are asked for. */

import { fillPauses, splitLayers, unpackInTurns } from "./payload.js";
import { CODING_DEPTHS, SAMPLES_BYTES } from "./records.js";

/**
 * @typedef {object} Chunk Consecutive frames of a file.
 * @property {number} startFrame
 * @property {number} frames
 * @property {number} layers 0 where the frames are lost and the caller asked to go on
 * @property {Int32Array} codes [C, layers, frames], -1 where a frame has no code
 */
/**
 * @typedef {object} Asked From `startFrame` to before `end` (null: all), the first `depth` layers.
 * @property {number} startFrame @property {number | null} end @property {number} depth
 * @property {import("./entropy.js").EntropyModel | null} entropy @property {import("./header.js").Header} header
 * @property {boolean} fill Whether frames of pauses have the codes that they sound as.
 */

/**
 * Yield the frames of a record that are asked for, unpacked, behind nulls; of a lost one, no layers. Throws as `splitLayers`
 * and `unpackInTurns`.
 * @param {import("./reader.js").VqcRecord} record @param {Asked} asked @returns {Generator<Chunk | null>}
 */
export function* cutInTurns({ position, frames, head, body }, { startFrame, end, depth, entropy, fill, header }) {
  const last = end === null ? frames : Math.min(frames, end - position);
  const first = Math.max(0, startFrame - position);
  const about = { startFrame: position + first, frames: last - first };
  if (!head || !body) return yield { ...about, layers: 0, codes: new Int32Array() };
  const payload = body.subarray(head.isLast ? SAMPLES_BYTES : 0);
  const layers = splitLayers(payload, head.coding, frames, header).slice(0, depth);
  const isVaried = head.coding === CODING_DEPTHS;
  const codes = yield* unpackInTurns(layers, { header, frames, until: last, isVaried, entropy });
  if (fill && isVaried) fillPauses(codes, { channels: header.channels, layers: depth, frames, startFrame: position });
  yield { ...about, layers: depth, codes: about.frames === frames ? codes : columns(codes, frames, first, about.frames) };
}

/** Columns of codes [rows, frames]. @param {Int32Array} codes @param {number} frames @param {number} start @param {number} count */
export function columns(codes, frames, start, count) {
  const rows = codes.length / frames;
  const part = new Int32Array(rows * count);
  for (let row = 0; row < rows; row++)
    part.set(codes.subarray(row * frames + start, row * frames + start + count), row * count);
  return part;
}
