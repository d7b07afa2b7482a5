/** Parity of packets: sums of the codes that are sent, and codes that did not come from sums; as vqcodec/sessions/parity.py. */

/** @typedef {import("./codec.js").Block} Block Of one frame here. */
/** @typedef {{distances: number[], layers: number, sums: Int32Array[]}} Parity Sums of each frame, by channel and layer. */
/** @typedef {{unknown: Set<number>, rest: Int32Array[]}} Equation Packets that have not come, and the sum of their codes. */

export const MAX_DISTANCE = 12;
const KEPT_LAYERS = 16;
const KEPT_SUMS = 4 * MAX_DISTANCE;

/** Remembers what was sent, frame by frame, for the parity of what will be. */
export class ParitySender {
  /** @param {number[]} distances @param {number} layers @param {number} channels */
  constructor(distances, layers, channels) {
    if (distances.some((distance) => !Number.isInteger(distance) || distance < 1 || distance > MAX_DISTANCE))
      throw new RangeError(`distances of parity are 1 to ${MAX_DISTANCE}`);
    this.distances = [...new Set(distances)].sort((a, b) => a - b);
    this.layers = layers;
    this.channels = channels;
  }

  /** @type {Map<number, Block>} */
  #sent = new Map();

  /** The parity that goes with a frame, of frames that are as deep as it can be; null without. @param {number} number @param {Block} frame @returns {Parity | null} */
  next(number, frame) {
    const { channels } = this;
    const layers = Math.min(this.layers, frame.layers);
    const found = this.distances.flatMap((distance) => {
      const its = this.#sent.get(number - distance);
      const codes = its && lowest(its, layers, channels);
      return codes ? [{ distance, codes }] : [];
    });
    if (this.distances.length) this.#sent.set(number, frame);
    this.#sent.delete(number - MAX_DISTANCE);
    if (!found.length || frame.codes.includes(-1)) return null;
    const sum = found.map(({ codes }) => [codes]).reduce(added);
    return { distances: found.map(({ distance }) => distance), layers, sums: sum };
  }
}

/** Remembers packets that came, and works out what their parity says of those that did not. */
export class ParityReceiver {
  /** @param {number} channels @param {number} codebookSize */
  constructor(channels, codebookSize) {
    this.channels = channels;
    this.codebookSize = codebookSize;
  }

  /** @type {Map<number, Block[]>} */
  #came = new Map();
  /** @type {Map<number, Parity>} */
  #sums = new Map();

  /** Take a packet that came, by its first frame. @param {number} start @param {Block[]} frames @param {Parity | null} parity */
  add(start, frames, parity) {
    this.#came.set(start, frames.map((frame) => this.#kept(frame)));
    if (parity) {
      const [first] = this.#sums.values();
      if (first && (first.layers !== parity.layers || first.sums.length !== parity.sums.length)) this.#sums.clear();
      this.#sums.set(start, parity);
    }
    while (this.#came.size > (this.#sums.size ? KEPT_SUMS : MAX_DISTANCE)) {
      const oldest = Math.min(...this.#came.keys());
      this.#came.delete(oldest);
      this.#sums.delete(oldest);
    }
  }

  /** Work out the lowest codes of a frame whose packet has not come, or null. @param {number} frame @returns {Block | null} */
  codesOf(frame) {
    const [any] = this.#sums.values();
    if (!any) return null;
    const { layers, sums } = any;
    const starts = [...this.#sums].flatMap(([start, its]) => othersOf(start, its));
    const start = Math.max(...starts.filter((each) => each <= frame && frame < each + sums.length));
    if (start === -Infinity || this.#came.has(start)) return null;
    const codes = eliminated([...this.#sums].map(([at, its]) => this.#equation(at, its)), start);
    if (!codes || codes.some((each) => each.some((code) => code >= this.codebookSize))) return null;
    return { codes: codes[frame - start], layers, frames: 1 };
  }

  /** @param {number} start @param {Parity} parity @returns {Equation} */
  #equation(start, parity) {
    const unknown = new Set();
    let rest = parity.sums;
    for (const other of othersOf(start, parity)) {
      const its = (this.#came.get(other) ?? []).map((frame) => lowest(frame, parity.layers, this.channels));
      if (its.length === rest.length && its.every((codes) => codes)) rest = added(rest, /** @type {Int32Array[]} */ (its));
      else unknown.add(other);
    }
    return { unknown, rest };
  }

  /** @param {Block} frame @returns {Block} */
  #kept({ codes, layers }) {
    const kept = Math.min(layers, KEPT_LAYERS);
    const rows = Array.from({ length: layers ? this.channels : 0 }, (_, channel) => [...codes.subarray(channel * layers, channel * layers + kept)]);
    return { codes: Int32Array.from(rows.flat()), layers: kept, frames: 1 };
  }
}

/** The first frames of the packets whose parity one carries. @param {number} start @param {Parity} parity */
const othersOf = (start, { distances, sums }) => distances.map((distance) => start - distance * sums.length);

/** The lowest codes of a frame, by channel; null where it has fewer. @param {Block} frame @param {number} wanted @param {number} channels */
function lowest({ codes, layers }, wanted, channels) {
  if (layers < wanted) return null;
  const found = Int32Array.from({ length: channels * wanted }, (_, at) => codes[Math.floor(at / wanted) * layers + (at % wanted)]);
  return found.includes(-1) ? null : found;
}

/** @param {Int32Array[]} sums @param {Int32Array[]} others */
const added = (sums, others) => sums.map((codes, frame) => codes.map((code, at) => code ^ others[frame][at]));

/** Solve for one unknown, by Gaussian elimination modulo 2; null where it does not follow. @param {Equation[]} equations @param {number} wanted */
function eliminated(equations, wanted) {
  /** @type {Map<number, Equation>} */
  const byFirst = new Map();
  for (const equation of equations) {
    let { unknown, rest } = equation;
    for (;;) {
      const first = Math.min(...[...unknown].filter((each) => each !== wanted));
      const other = byFirst.get(first);
      if (first === Infinity) {
        if (unknown.size) return rest;
        break;
      }
      if (!other) {
        byFirst.set(first, { unknown, rest });
        break;
      }
      const both = [...unknown, ...other.unknown];
      unknown = new Set(both.filter((each) => unknown.has(each) !== other.unknown.has(each)));
      rest = added(rest, other.rest);
    }
  }
  return null;
}
