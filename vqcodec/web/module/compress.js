/** Waves -> the bytes of a .vqc, block by block, so that others have their turn. */

import { Encoder } from "./codec.js";
import { Header } from "./header.js";
import { writeVqc } from "./writer.js";

const BLOCK_FRAMES = 64;
const EQUAL_CHANNELS = "vqc.channels";

/**
 * Encode `waves` [C][T], at the model's rate, full scale 1, with all codebooks of the model. Channels that are all the
 * same are coded once. `onProgress` is told the share that is done, 0 to 1.
 * @param {Float32Array[]} waves @param {import("./model.js").Model} model loaded with its encoder
 * @param {{tags?: Record<string, string>, onProgress?: (share: number) => void}} [options] @returns {Promise<Uint8Array>}
 */
export async function compress(waves, model, { tags = {}, onProgress = () => {} } = {}) {
  const coded = distinct(waves);
  const samples = waves[0].length;
  const encoder = new Encoder(model, { channels: coded.length });
  const blocks = [];
  const step = BLOCK_FRAMES * model.hopLength;
  for (let start = 0; start < samples; start += step) {
    blocks.push(await encoder.push(coded.map((wave) => wave.subarray(start, start + step))));
    onProgress(Math.min(1, (start + step) / samples));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  blocks.push(await encoder.flush());
  const header = headerOf(model, { channels: coded.length, samples });
  /** @type {Record<string, string>} */
  const same = coded.length < waves.length ? { [EQUAL_CHANNELS]: String(waves.length) } : {};
  const codes = columns(blocks, coded.length * model.totalCodebooks);
  return writeVqc(header, codes, { entropy: model.entropy, tags: { ...tags, ...same } });
}

/** The header of a file of all codebooks at the model's rate. @param {import("./model.js").Model} model @param {{channels: number, samples: number}} of */
export function headerOf({ fingerprint, hopLength, totalCodebooks: numCodebooks, codebookSize, sampleRateHz }, of) {
  return new Header({ fingerprint, hopLength, numCodebooks, codebookSize, sampleRateHz, originalRateHz: sampleRateHz, ...of });
}

/** The channels, or one where all are the same. @param {Float32Array[]} waves */
function distinct(waves) {
  return waves.every((wave) => wave.every((sample, at) => sample === waves[0][at])) ? waves.slice(0, 1) : waves;
}

/** The codes of blocks, one after the other [rows, frames]. @param {import("./codec.js").Block[]} blocks @param {number} rows */
function columns(blocks, rows) {
  const frames = blocks.reduce((sum, block) => sum + block.frames, 0);
  const codes = new Int32Array(rows * frames);
  let at = 0;
  for (const block of blocks) {
    for (let row = 0; row < rows; row++)
      codes.set(block.codes.subarray(row * block.frames, (row + 1) * block.frames), row * frames + at);
    at += block.frames;
  }
  return codes;
}
