/** Codes <-> waves of streams, block by block, and the waves of a file. No sound card. */

import { columns } from "./chunk.js";
import { ModelError } from "./errors.js";
import { Graph, release } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {{codes: Int32Array, layers: number, frames: number}} Block Codes [B, layers, frames]; no layers: lost. */

const FADE_FRAMES = 10;
const MOST_FRAMES = 256; // that are computed at once
const FIRST_FRAMES = 8; // that a file is unpacked for first, so that it sounds soon

/**
 * Codes of `channels` streams in, waves out, `delaySamples` behind until `flush`. Frames that are lost are concealed:
 * the last frame goes on and fades to silence within 10 frames. `startFrame`: number of the first frame.
 */
export class Decoder {
  /** @param {Model} model @param {{channels?: number, startFrame?: number}} [options] */
  constructor(model, { channels = 1, startFrame = 0 } = {}) {
    this.model = model;
    this.channels = channels;
    this.#graph = new Graph(model.runtime, model.sessions.decoder, channels);
    this.#nextFrame = startFrame;
    this.#aheadSamples = model.delaySamples;
  }

  #graph;
  #nextFrame;
  #aheadSamples;
  #lostFrames = 0;
  /** @type {{codes: Int32Array, layers: number} | null} the last frame, as long as it is heard */
  #last = null;

  /** Decode the next frames: float32 waves [C][m], m = frames * hopLength but for the beginning. @param {Block} block */
  async push({ codes, layers, frames }) {
    const waves = this.#silence(frames * this.model.hopLength);
    for (let start = 0; start < frames; ) {
      const last = this.#last;
      let count = Math.min(frames - start, MOST_FRAMES);
      if (!layers && last) count = Math.min(count, FADE_FRAMES - this.#lostFrames);
      if (layers || last) {
        const part = layers ? columns(codes, frames, start, count) : repeat(/** @type {any} */ (last).codes, count);
        await this.#play(part, layers || /** @type {any} */ (last).layers, !layers, waves, start);
      }
      this.#nextFrame += count;
      start += count;
    }
    return this.#afterStart(waves);
  }

  /** Return the rest of the wave: all together frames * hopLength samples. */
  async flush() {
    const { delaySamples, hopLength } = this.model;
    const frames = Math.ceil(delaySamples / hopLength);
    const waves = this.#silence(frames * hopLength);
    const gain = 1 - this.#lostFrames / FADE_FRAMES;
    if (this.#last && frames) await this.#run(repeat(this.#last.codes, frames), this.#last.layers, waves, 0, () => gain);
    return this.#afterStart(waves.map((wave) => wave.subarray(0, delaySamples)));
  }

  /** Decode `codes` [C, layers, count] into `waves` from frame `start` on, at the loudness that losses ask for. */
  async #play(
    /** @type {Int32Array} */ codes,
    /** @type {number} */ layers,
    /** @type {boolean} */ isLost,
    /** @type {Float32Array[]} */ waves,
    /** @type {number} */ start,
  ) {
    const gains = [1 - this.#lostFrames / FADE_FRAMES];
    const count = codes.length / (this.channels * layers);
    for (let frame = 0; frame < count; frame++) {
      this.#lostFrames = isLost ? this.#lostFrames + 1 : 0;
      gains.push(1 - this.#lostFrames / FADE_FRAMES);
    }
    const { hopLength } = this.model;
    const gain = (/** @type {number} */ at) => {
      const frame = Math.floor(at / hopLength);
      return gains[frame] + ((gains[frame + 1] - gains[frame]) * (at % hopLength)) / hopLength;
    };
    await this.#run(codes, layers, waves, start, gains.some((each) => each < 1) ? gain : null);
    this.#last = { codes: columns(codes, count, count - 1, 1), layers };
    if (this.#lostFrames < FADE_FRAMES) return;
    this.#last = null; // what the decoder remembers is of no more use
    this.#graph.pasts = null;
  }

  async #run(
    /** @type {Int32Array} */ codes,
    /** @type {number} */ layers,
    /** @type {Float32Array[]} */ waves,
    /** @type {number} */ start,
    /** @type {((at: number) => number) | null} */ gain,
  ) {
    if (!this.#graph.pasts) this.#begin();
    const count = codes.length / (this.channels * layers);
    const first = new this.model.runtime.Tensor("int64", BigInt64Array.from(codes, BigInt), [this.channels, layers, count]);
    const out = /** @type {Float32Array} */ ((await this.#graph.run(first)).data);
    const samples = count * this.model.hopLength;
    waves.forEach((wave, channel) => {
      const part = out.subarray(channel * samples, (channel + 1) * samples);
      if (gain) for (let at = 0; at < samples; at++) part[at] *= gain(at);
      wave.set(part, start * this.model.hopLength);
    });
    release(out);
  }

  /** A stream that begins at frame f has its place in the noise as the first element of the last past. */
  #begin() {
    const pasts = this.#graph.zeros();
    const { noise } = this.model;
    if (!noise) return;
    const last = pasts[pasts.length - 1];
    const row = last.size / this.channels;
    const data = /** @type {Float32Array} */ (last.data);
    for (let channel = 0; channel < this.channels; channel++)
      data[channel * row] = (this.#nextFrame * noise[0]) % noise[1];
  }

  /** @param {number} samples */
  #silence(samples) {
    return Array.from({ length: this.channels }, () => new Float32Array(samples));
  }

  /** What lies after the beginning of the sound. @param {Float32Array[]} waves */
  #afterStart(waves) {
    const early = Math.min(this.#aheadSamples, waves[0].length);
    this.#aheadSamples -= early;
    return waves.map((wave) => wave.subarray(early));
  }
}

/** Waves of `channels` streams in, codes of whole frames out. */
export class Encoder {
  /** @param {Model} model loaded with its encoder @param {{channels?: number}} [options] */
  constructor(model, { channels = 1 } = {}) {
    if (!model.sessions.encoder) throw new ModelError(`${model.name} was loaded without its encoder's graph`);
    this.model = model;
    this.channels = channels;
    this.#graph = new Graph(model.runtime, model.sessions.encoder, channels);
    this.#waiting = Array.from({ length: channels }, () => new Float32Array());
  }

  #graph;
  #waiting;

  /**
   * Encode the next samples, at the model's rate, full scale 1: codes [C, totalCodebooks, frames] of the frames now
   * full. @param {Float32Array[]} waves one of each channel, of one length @returns {Promise<Block>}
   */
  async push(waves) {
    const { hopLength, totalCodebooks: layers, runtime } = this.model;
    const joined = waves.map((wave, channel) => concatenated([this.#waiting[channel], wave]));
    const frames = Math.floor(joined[0].length / hopLength);
    this.#waiting = joined.map((wave) => wave.slice(frames * hopLength));
    const codes = new Int32Array(this.channels * layers * frames);
    const all = { num_codebooks: new runtime.Tensor("int64", BigInt64Array.of(BigInt(layers)), []) };
    for (let start = 0; start < frames; start += MOST_FRAMES) {
      const count = Math.min(frames - start, MOST_FRAMES);
      const block = concatenated(joined.map((wave) => wave.subarray(start * hopLength, (start + count) * hopLength)));
      const out = await this.#graph.run(new runtime.Tensor("float32", block, [this.channels, count * hopLength]), all);
      const found = Int32Array.from(/** @type {BigInt64Array} */ (out.data), Number);
      for (let row = 0; row < this.channels * layers; row++)
        codes.set(found.subarray(row * count, (row + 1) * count), row * frames + start);
    }
    return { codes, layers, frames };
  }

  /** Encode what is left, padded with silence to a frame: no frame or one. */
  async flush() {
    const missing = -this.#waiting[0].length % this.model.hopLength;
    const length = missing ? missing + this.model.hopLength : 0;
    return this.push(this.#waiting.map(() => new Float32Array(length)));
  }
}

/**
 * Decode a file from `startFrame` on, in blocks: waves [C][m] at the model's rate, which all together end where the
 * file's audio does. Begins early enough that the decoder's past is complete, waits for a file that is still coming, and
 * lets others have their turn; `signal` ends it then. With `onDamage` damage goes there, what is lost is concealed, and
 * a cut file ends early. Throws as `VqcReader.chunks` and `Model.check`.
 * @param {import("./reader.js").VqcReader} reader @param {Model} model
 * @param {{startFrame?: number, numCodebooks?: number, blockFrames?: number, onDamage?: import("./reader.js").OnDamage | null, signal?: AbortSignal}} [options]
 * @returns {AsyncGenerator<Float32Array[]>}
 */
export async function* decodeFile(reader, model, { startFrame = 0, numCodebooks, blockFrames = 32, onDamage = null, signal } = {}) {
  const { header } = reader;
  model.check(header);
  const first = Math.max(0, startFrame - model.contextFrames);
  const decoder = new Decoder(model, { channels: header.channels, startFrame: first });
  let position = first * model.hopLength; // of the next sample, at the model's rate
  const kept = (/** @type {Float32Array[]} */ waves) => {
    const begin = Math.max(0, startFrame * model.hopLength - position);
    const { samples } = reader;
    const all = samples === null ? Infinity : Math.ceil((samples * model.sampleRateHz) / header.originalRateHz);
    const end = Math.max(begin, Math.min(waves[0].length, all - position));
    position += waves[0].length;
    return waves.map((wave) => wave.subarray(begin, end));
  };
  const told = new Set(); // both passes see what lies where they meet
  const once = onDamage && ((/** @type {import("./errors.js").VqcError} */ error) => {
    if (!told.has(error.message)) onDamage(error);
    told.add(error.message);
  });
  const soon = startFrame + FIRST_FRAMES;
  for (const [from, endFrame] of [[first, soon], [soon, null]])
    for (const chunk of reader.chunksInTurns({ startFrame: Number(from), endFrame, numCodebooks, entropy: model.entropy, fill: true, onDamage: once })) {
      if (!chunk) await reader.rest();
      if (signal?.aborted) return;
      for (const block of chunk ? blocksOf(chunk, header.channels, blockFrames) : []) {
        const waves = kept(await decoder.push(block));
        if (waves[0].length) yield waves;
      }
    }
  const rest = kept(await decoder.flush());
  if (rest[0].length) yield rest;
}

/**
 * A block in blocks of at most `most` frames; frames of which a channel has no code are lost, and have no layers.
 * @param {Block} block @param {number} channels @param {number} most @returns {Generator<Block>}
 */
function* blocksOf({ codes, layers, frames }, channels, most) {
  const isLost = (/** @type {number} */ frame) =>
    !layers || Array.from({ length: channels }, (_, channel) => codes[channel * layers * frames + frame]).some((code) => code < 0);
  for (let start = 0; start < frames; ) {
    const lost = isLost(start);
    let count = 1;
    while (count < most && start + count < frames && isLost(start + count) === lost) count++;
    yield lost ? { codes: new Int32Array(), layers: 0, frames: count } : { codes: columns(codes, frames, start, count), layers, frames: count };
    start += count;
  }
}

/** @param {Float32Array[]} parts */
function concatenated(parts) {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

/** One column of codes, `count` times. @param {Int32Array} column @param {number} count */
const repeat = (column, count) => Int32Array.from({ length: column.length * count }, (_, at) => column[Math.floor(at / count)]);
