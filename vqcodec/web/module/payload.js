/** Codes of one chunk <-> its payload, layer by layer: fixed-width, entropy-coded, or of varied depth. */

import { ModelError, VqcError } from "./errors.js";
import { RangeDecoder } from "./rangecoder.js";
import { CODING_DEPTHS, CODING_ENTROPY } from "./records.js";

/** @typedef {import("./entropy.js").EntropyModel} EntropyModel */
/** @typedef {import("./header.js").Header} Header */
/** @typedef {{data: Uint8Array, coding: "fixed" | "model" | "equal"}} Layer `coding`: whence the weights of its codes */

const MAX_VARINT_BYTES = 3;
export const COMFORT_FRAMES = 4; // the last with codes, of which those without sound as one
export const NO_CODE = -1;
export const FLAG_WEIGHTS = [1024, 1024, 512, 512, 3584, 3584];
export const FLAG_TOTAL = 4096;
const FLAG_SHIFT = 5;
const TURN_CODES = 2048; // some milliseconds

/**
 * Return the layers of a payload. Throws VqcError if they do not add up to it.
 * @param {Uint8Array} payload @param {number} coding @param {number} frames @param {Header} header @returns {Layer[]}
 */
export function splitLayers(payload, coding, frames, header) {
  const fixed = header.layerBytes(frames);
  const most = coding === CODING_DEPTHS ? header.variedLayerBytes(frames) : fixed;
  /** @type {{size: number, coding: Layer["coding"]}[]} */
  const layers = [];
  let position = 0;
  for (let index = 0; index < header.numCodebooks; index++) {
    let size = fixed;
    /** @type {Layer["coding"]} */
    let its = "fixed";
    if (coding === CODING_ENTROPY || coding === CODING_DEPTHS) {
      const varint = readVarint(payload, position);
      position = varint.end;
      size = coding === CODING_DEPTHS ? varint.value >> 1 : fixed - varint.value;
      if (coding === CODING_DEPTHS) its = varint.value & 1 ? "model" : "equal";
      else if (varint.value) its = "model";
    }
    if (size > most) throw new VqcError(`a layer of ${size} bytes is over ${most}, what its frames can need`);
    layers.push({ size, coding: its });
  }
  const sum = layers.reduce((all, layer) => all + layer.size, position);
  if (layers.some((layer) => layer.size < 0) || sum !== payload.length)
    throw new VqcError("the layers of a chunk do not add up to its size");
  return layers.map((layer) => {
    const data = payload.subarray(position, position + layer.size);
    position += layer.size;
    return { data, coding: layer.coding };
  });
}

/**
 * Return the codes [C, layers, F] of the first layers of a payload; -1 from the depth of a frame on. From frame `until`
 * on they may be anything: of the last channel no more is decoded than that, and the layers above, ask for. Yields null
 * every 2048 codes, so that others have their turn. Throws VqcError if they are not what a writer makes, ModelError if
 * they need an entropy model and `entropy` is none of theirs.
 * @param {Layer[]} layers
 * @param {{header: Header, frames: number, until: number, isVaried: boolean, entropy: EntropyModel | null}} about
 * @returns {Generator<null, Int32Array>}
 */
export function* unpackInTurns(layers, { header, frames, until, isVaried, entropy }) {
  const { channels, bitsPerCode: bits } = header;
  const codes = new Int32Array(channels * layers.length * frames).fill(isVaried ? NO_CODE : 0);
  const channelOf = (/** @type {number} */ channel) =>
    codes.subarray(channel * layers.length * frames, (channel + 1) * layers.length * frames);
  const needed = framesNeeded(layers, bits, until, entropy);
  const reached = Array.from({ length: channels }, () => new Uint8Array(frames).fill(1));
  let decoded = 0;
  for (const [index, { data, coding }] of layers.entries()) {
    if (coding === "fixed") {
      const all = unpackFixed(data, channels * frames, bits);
      for (let channel = 0; channel < channels; channel++)
        channelOf(channel).set(all.subarray(channel * frames, (channel + 1) * frames), index * frames);
      continue;
    }
    const coder = new RangeDecoder(data);
    for (let channel = 0; channel < channels; channel++) {
      if (isVaried) reached[channel] = decodeFlags(coder, reached[channel]);
      const end = channel < channels - 1 ? frames : Math.min(frames, needed[index]);
      const own = channelOf(channel).subarray(index * frames, (index + 1) * frames);
      const rows = index ? channelOf(channel).subarray(0, index * frames) : own;
      const weights = coding === "model" && entropy ? entropy.channel(index, rows, frames) : null;
      for (let frame = 0; frame < end; frame++) {
        if (!reached[channel][frame]) continue;
        own[frame] = weights ? coder.symbol(weights(frame)) : equal(coder, 1 << bits);
        if (++decoded % TURN_CODES === 0) yield null;
      }
    }
  }
  return codes;
}

/** What stands in for frames without codes: one of the last with some, at random, and never twice in a row. @template T */
export class Comfort {
  /** @param {number} start number of the frame at which it begins */
  constructor(start) {
    this.#state = start % 65536;
  }

  #state;
  #place = 0;
  /** @type {T[]} */
  #frames = [];

  /** @param {T} frame that has codes */
  add(frame) {
    this.#frames = [...this.#frames, frame].slice(-COMFORT_FRAMES);
  }

  /** Return what the next frame without codes sounds as; null where none before it has any. @returns {T | null} */
  draw() {
    const count = this.#frames.length;
    if (count > 1) {
      this.#state = (25173 * this.#state + 13849) % 65536;
      this.#place += 1 + ((this.#state >> 8) % (count - 1));
    }
    return count ? this.#frames[this.#place % count] : null;
  }
}

/**
 * Give frames of a whole chunk that have no codes [C, layers, F] those that they sound as; -1 stays where there are none.
 * @param {Int32Array} codes @param {{channels: number, layers: number, frames: number, startFrame: number}} about
 */
export function fillPauses(codes, { channels, layers, frames, startFrame }) {
  for (let channel = 0; channel < channels; channel++) {
    const own = codes.subarray(channel * layers * frames, (channel + 1) * layers * frames);
    /** @type {Comfort<number>} */
    const comfort = new Comfort(startFrame);
    for (let frame = 0; frame < frames; frame++) {
      const from = own[frame] < 0 ? comfort.draw() : comfort.add(frame);
      for (let layer = 0; typeof from === "number" && layer < layers; layer++)
        own[layer * frames + frame] = own[layer * frames + from];
    }
  }
}

/** How many frames of each layer the last channel needs. @param {Layer[]} layers @param {EntropyModel | null} entropy */
function framesNeeded(layers, /** @type {number} */ bits, /** @type {number} */ until, entropy) {
  const needed = new Array(layers.length).fill(until);
  const last = layers.findLastIndex((layer) => layer.coding === "model");
  if (last < 0) return needed;
  if (!entropy || last >= entropy.numLayers || entropy.codebookSize !== 1 << bits)
    throw new ModelError("the .vqc is entropy-coded with tables that this model does not have");
  entropy.framesNeeded(last + 1, until).forEach((frames, index) => (needed[index] = frames));
  return needed;
}

/** @param {RangeDecoder} coder @param {number} codebookSize */
function equal(coder, codebookSize) {
  const code = coder.find(codebookSize);
  coder.take(code, 1);
  return code;
}

/** The adaptive weights with which a layer of one channel says which frames go on. */
export class Flags {
  #weights = [...FLAG_WEIGHTS];
  #before = 0;
  #context = 0;

  /** @param {Uint8Array} reached which frames have a depth of this layer or more */
  constructor(reached) {
    this.reached = reached;
  }

  /** Tell the weight of a yes. @param {number} frame */
  weight(frame) {
    this.#context = 2 * this.#before + (this.reached[frame + 1] ?? 0);
    return this.#weights[this.#context];
  }

  /** Take in what the frame did that `weight` was asked for. @param {boolean} goesOn */
  learn(goesOn) {
    const weight = this.#weights[this.#context];
    this.#weights[this.#context] += goesOn ? (FLAG_TOTAL - weight) >> FLAG_SHIFT : -(weight >> FLAG_SHIFT);
    this.#before = goesOn ? 2 : 1;
  }

  /** Take in a frame that ends before this layer. */
  endBefore() {
    this.#before = 0;
  }
}

/** Which of the frames that this layer has reached go on. @param {RangeDecoder} coder @param {Uint8Array} reached */
function decodeFlags(coder, reached) {
  const flags = new Flags(reached);
  return reached.map((isReached, frame) => {
    if (!isReached) {
      flags.endBefore();
      return 0;
    }
    const weight = flags.weight(frame);
    const goesOn = coder.find(FLAG_TOTAL) < weight;
    if (goesOn) coder.take(0, weight);
    else coder.take(weight, FLAG_TOTAL - weight);
    flags.learn(goesOn);
    return Number(goesOn);
  });
}

/** @param {Uint8Array} layer @param {number} count @param {number} bits */
export function unpackFixed(layer, count, bits) {
  const codes = new Int32Array(count);
  let [register, filled, at] = [0, 0, 0]; // at most 15 + 8 bits
  for (let index = 0; index < count; index++) {
    for (; filled < bits; filled += 8) register = ((register << 8) | layer[at++]) & 0xffffff;
    filled -= bits;
    codes[index] = (register >> filled) & ((1 << bits) - 1);
  }
  if (register & ((1 << filled) - 1)) throw new VqcError("a layer of codes ends in bits that are not zero");
  return codes;
}

/** The number at a position, and the position after it. @param {Uint8Array} data @param {number} position */
function readVarint(data, position) {
  let value = 0;
  for (let count = 0; count < MAX_VARINT_BYTES; count++) {
    const byte = data[position + count];
    if (byte === undefined) break;
    value |= (byte & 0x7f) << (7 * count);
    if (byte < 0x80 && (byte > 0 || count === 0)) return { value, end: position + count + 1 };
  }
  throw new VqcError("a chunk has a layer without a size");
}
