/** Frames of codes <-> packets for links that lose, repeat and reorder; vqcodec/sessions/packets.py describes the bytes. */

import { crc16, fromLittleEndian, littleEndian } from "./checksums.js";
import { VqcError } from "./errors.js";
import { COMFORT_FRAMES, Comfort, unpackFixed } from "./payload.js";
import { MAX_DISTANCE, ParityReceiver, ParitySender } from "./parity.js";
import { packFixed } from "./writer.js";

/** @typedef {import("./codec.js").Block} Block Of one frame here; without layers where it is lost. */
/** @typedef {{number: number, frames: Block[], before: Block[], parity?: Parity}} Packet `before`: the lowest codes of earlier frames. */
/** @typedef {import("./parity.js").Parity} Parity */
// Where a pause begins with its one frame, that has no layers.
// A frame has as many layers as the deepest of its channels; codes are -1 above the depth of another.

const NUMBERS = 65536; // of frames; then they begin again
const MAX_GAP_FRAMES = 250;
const HEAD_BYTES = 4;
const REDUNDANT_HEAD_BYTES = 6;
const VARIED_HEAD_BYTES = 7;
const MAX_REDUNDANCY = 16;
const CRC_BYTES = 2;
const PARITY = 0x80; // added to the bits of a code in the checksum of a packet with parity
/** @type {Block} */
const LOST = { codes: new Int32Array(), layers: 0, frames: 1 };

/**
 * Codes in, -1 above the depth of a frame, a packet a frame out, which repeats the lowest `layers` codebooks of the
 * `redundancy` frames before, 0 to 16, or carries the parity of them in the frames at distances `parity` before, 1 to 12. With `dtx` frames may have no codes, of which a packet says that they begin.
 */
export class Packetizer {
  /** @param {{channels?: number, codebookSize?: number, redundancy?: number, layers?: number, parity?: number[], firstFrame?: number, dtx?: boolean}} [options] */
  constructor({ channels = 1, codebookSize = 1024, redundancy = 0, layers = 1, parity = [], firstFrame = 0, dtx = false } = {}) {
    if (parity.length && redundancy) throw new RangeError("redundancy and parity exclude each other");
    this.channels = channels;
    this.redundancy = redundancy;
    this.layers = layers;
    this.dtx = dtx;
    this.#bits = Math.ceil(Math.log2(codebookSize));
    this.#number = firstFrame;
    this.#parity = new ParitySender(parity, layers, channels);
  }

  #bits;
  #number;
  #parity;
  #isPause = false;
  /** @type {Block[]} */
  #before = [];

  /**
   * Return the packets of the next frames, with their first `numCodebooks` codebooks. Throws RangeError where codes are
   * -1 and no depths. @param {Block} block
   */
  push(block, numCodebooks = block.layers) {
    return framesOf(block, this.channels, numCodebooks).flatMap((frame) =>
      this.dtx && codesIn(frame) === 0 ? this.#pause() : [this.#packet(frame)],
    );
  }

  /** The packet of a frame without codes, if a pause begins with it. */
  #pause() {
    const body = Uint8Array.from([...littleEndian(this.#number % NUMBERS, 2), 0, (this.channels - 1) << 4, 0, 0]);
    const packets = this.#isPause ? [] : [Uint8Array.from([...body, ...checksum(body, this.#bits)])];
    this.#isPause = true;
    this.#before = [];
    this.#number++;
    return packets;
  }

  /** @param {Block} frame */
  #packet(frame) {
    const { channels } = this;
    const least = Math.min(...this.#before.flatMap((each) => depthsOf(each, channels)));
    const own = depthsOf(frame, channels);
    if (own.includes(0) || codesIn(frame) !== own.reduce((sum, depth) => sum + depth, 0))
      throw new RangeError("codes may be -1 above the depth of a frame only, which is 1 or more");
    const isVaried = frame.codes.includes(-1);
    const before = isVaried ? this.#before : this.#before.flatMap((each) => framesOf(each, channels, least));
    const shape = (channels - 1) << 4;
    const head = [...littleEndian(this.#number % NUMBERS, 2)];
    const parity = this.#parity.next(this.#number, frame);
    if (parity) {
      const mask = parity.distances.reduce((sum, distance) => sum + (1 << (distance - 1)), 0);
      head.push(frame.layers, shape, ...littleEndian(((parity.layers - 1) << MAX_DISTANCE) | mask, 2));
    } else if (isVaried) {
      const depths = [...own, ...byChannel(before.map((each) => depthsOf(each, channels)), channels)];
      const most = Math.max(...depths);
      head.push(0, shape, 0, most, before.length, ...packFixed([Int32Array.from(depths)], bitLength(most)));
    } else if (before.length) head.push(0, shape, frame.layers, ((least - 1) << 4) | (before.length - 1));
    else head.push(frame.layers, shape);
    const others = parity ? parity.sums.map((codes) => ({ codes, layers: parity.layers, frames: 1 })) : before;
    const codes = [...byCodebook([frame], channels), ...byCodebook(others, channels)];
    const body = Uint8Array.from([...head, ...packFixed([Int32Array.from(codes)], this.#bits)]);
    const all = [...this.#before, ...framesOf(frame, channels, this.layers)];
    this.#before = all.slice(Math.max(0, all.length - this.redundancy));
    this.#number++;
    this.#isPause = false;
    return Uint8Array.from([...body, ...checksum(body, parity ? this.#bits | PARITY : this.#bits)]);
  }
}

/**
 * Packets as they come in, what `Decoder.push` takes out, in order, frame by frame. Frames of pauses, which are not sent,
 * come with codes that sound like the last 4 that were. A lost packet is waited for until more
 * than `reorderPackets` behind it have come; then what these repeat or parity says stands in, or a block without layers. Far from the
 * stream one packet is passed over, and two in sequence are where it goes on. Damaged packets count as lost.
 */
export class Depacketizer {
  /** @param {{channels?: number, totalCodebooks?: number, codebookSize?: number, reorderPackets?: number, firstFrame?: number | null}} [options] */
  constructor({ channels = 1, totalCodebooks = 255, codebookSize = 1024, reorderPackets = 2, firstFrame = null } = {}) {
    this.channels = channels;
    this.totalCodebooks = totalCodebooks;
    this.codebookSize = codebookSize;
    this.reorderPackets = reorderPackets;
    this.#bits = Math.ceil(Math.log2(codebookSize));
    this.#next = firstFrame;
    this.#parity = new ParityReceiver(channels, codebookSize);
  }

  damagedPackets = 0;
  recoveredFrames = 0;
  lostFrames = 0;
  #bits;
  #parity;
  /** @type {number | null} */
  #next;
  /** @type {number | null} */
  #restart = null;
  /** @type {Map<number, Packet>} */
  #waiting = new Map();
  /** @type {Comfort<Block>} */
  #comfort = new Comfort(0);
  #isPause = false;
  #newest = -Infinity; // first frame of the packets that were played

  /** Return what can be played now that a packet has come. @param {Uint8Array} data @returns {Block[]} */
  push(data) {
    let packet;
    try {
      packet = this.#checked(data);
    } catch (error) {
      if (!(error instanceof VqcError)) throw error;
      this.damagedPackets++;
      return [];
    }
    this.#next ??= packet.number;
    const ahead = modulo(packet.number - this.#next + NUMBERS / 2) - NUMBERS / 2;
    if (Math.abs(ahead) > MAX_GAP_FRAMES) return this.#stray(packet);
    this.#restart = null;
    this.#waiting.set(this.#next + ahead, packet);
    this.#parity.add(this.#next + ahead, packet.frames, packet.parity ?? null);
    return this.#ready(this.reorderPackets);
  }

  /** Wait no longer for the next frame, which must be played now. @returns {Block[]} */
  skip() {
    if (this.#next === null) return [];
    const frame = this.#missing(this.#next++);
    return [frame, ...this.#ready(this.reorderPackets)];
  }

  /** Return what still waits. The next push starts anew. @returns {Block[]} */
  flush() {
    const rest = this.#ready(0);
    this.#next = this.#restart = null;
    this.#parity = new ParityReceiver(this.channels, this.codebookSize);
    this.#comfort = new Comfort(0);
    this.#isPause = false;
    this.#newest = -Infinity;
    return rest;
  }

  /** @param {Uint8Array} data */
  #checked(data) {
    const packet = fromBytes(data, this.#bits, this.channels);
    const frames = [...packet.frames, ...packet.before];
    if (frames.some(({ layers }) => layers > this.totalCodebooks)) throw new VqcError("a packet has more codebooks than the stream");
    if (frames.some(({ codes }) => codes.some((code) => code >= this.codebookSize)))
      throw new VqcError("a packet has a code that no codebook has");
    return packet;
  }

  /** @param {Packet} packet */
  #stray(packet) {
    const { number, frames } = packet;
    const before = this.#restart;
    this.#restart = (number + frames.length) % NUMBERS;
    if (before !== number) return [];
    const rest = this.flush();
    this.#next = number;
    this.#parity.add(number, frames, packet.parity ?? null);
    return [...rest, ...this.#played(packet, number)];
  }

  /** @param {number} reorderPackets */
  #ready(reorderPackets) {
    /** @type {Block[]} */
    const ready = [];
    while (this.#waiting.size && this.#next !== null) {
      const start = Math.min(...this.#waiting.keys());
      if (start > this.#next && this.#waiting.size <= reorderPackets) break;
      for (let frame = this.#next; frame < start; frame++) ready.push(this.#missing(frame));
      const packet = /** @type {Packet} */ (this.#waiting.get(start));
      this.#waiting.delete(start);
      ready.push(...this.#played(packet, start));
    }
    return ready;
  }

  /** What is left to play of a packet that comes next, or late. @param {Packet} packet @param {number} start its first frame */
  #played({ frames }, start) {
    const isPause = frames[0].layers === 0;
    const isNew = start > this.#newest;
    if (isNew) [this.#newest, this.#isPause] = [start, isPause];
    const first = Math.max(/** @type {number} */ (this.#next), start);
    this.#next = Math.max(first, start + frames.length);
    const rest = frames.slice(first - start);
    if (isPause) return rest.map(() => this.#missing(start));
    if (isNew) frames.slice(-COMFORT_FRAMES).forEach((frame) => this.#comfort.add(frame));
    return rest;
  }

  /** What packets repeat of a frame, or parity says, with most codebooks; else in a pause its sound. @param {number} frame */
  #missing(frame) {
    let best = LOST;
    for (const [start, { before }] of this.#waiting) {
      const copy = before[frame - start + before.length];
      if (copy && copy.layers > best.layers) best = copy;
    }
    const solved = this.#parity.codesOf(frame);
    if (solved && solved.layers > best.layers) best = solved;
    const comfort = this.#isPause && !best.layers ? this.#comfort.draw() : null;
    if (comfort) return comfort;
    this.#isPause &&= !best.layers;
    if (best.layers) this.recoveredFrames++;
    else this.lostFrames++;
    return best;
  }
}

/** Read a packet. Throws VqcError for what is none. @param {Uint8Array} data @param {number} bits @param {number} channels @returns {Packet} */
function fromBytes(data, bits, channels) {
  const body = data.subarray(0, -CRC_BYTES);
  const isSealed = (/** @type {number} */ its) => checksum(body, its).every((byte, index) => byte === data[body.length + index]);
  if (body.length >= HEAD_BYTES && isSealed(bits | PARITY)) return parityFromBytes(body, bits, channels);
  if (body.length < HEAD_BYTES || !isSealed(bits))
    throw new VqcError("the checksum of a packet does not match: it is damaged or of another kind");
  const count = (body[3] & 15) + 1;
  const isRedundant = body[2] === 0 && body.length >= REDUNDANT_HEAD_BYTES;
  if (isRedundant && !body[4] && !body[5] && body.length === REDUNDANT_HEAD_BYTES && count === 1 && (body[3] >> 4) + 1 === channels)
    return { number: fromLittleEndian(body.subarray(0, 2)), frames: [LOST], before: [] };
  if (isRedundant && !body[4]) return variedFromBytes(body, bits, channels);
  const layers = isRedundant ? body[4] : body[2];
  const [lowest, repeated] = isRedundant ? [(body[5] >> 4) + 1, (body[5] & 15) + 1] : [1, 0];
  const [own, others] = [layers * channels * count, lowest * channels * repeated];
  const head = isRedundant ? REDUNDANT_HEAD_BYTES : HEAD_BYTES;
  if ((body[3] >> 4) + 1 !== channels || !own || body.length !== head + Math.ceil(((own + others) * bits) / 8))
    throw new VqcError(`a packet of ${data.length} bytes cannot hold ${own + others} codes of ${bits} bits`);
  const codes = unpackFixed(body.subarray(head), own + others, bits);
  return {
    number: fromLittleEndian(body.subarray(0, 2)),
    frames: fromCodebooks(codes.subarray(0, own), { channels, layers, count }),
    before: repeated ? fromCodebooks(codes.subarray(own), { channels, layers: lowest, count: repeated }) : [],
  };
}

/** Read a packet with parity, without its checksum. @param {Uint8Array} body @param {number} bits @param {number} channels @returns {Packet} */
function parityFromBytes(body, bits, channels) {
  const [own, count] = [body[2], (body[3] & 15) + 1];
  const about = body.length < REDUNDANT_HEAD_BYTES ? 0 : fromLittleEndian(body.subarray(HEAD_BYTES, REDUNDANT_HEAD_BYTES));
  const layers = (about >> MAX_DISTANCE) + 1;
  const distances = Array.from({ length: MAX_DISTANCE }, (_, at) => at + 1).filter((distance) => (about >> (distance - 1)) & 1);
  const total = (own + layers) * channels * count;
  const isWhole = body.length === REDUNDANT_HEAD_BYTES + Math.ceil((total * bits) / 8);
  if ((body[3] >> 4) + 1 !== channels || !distances.length || layers > own || !isWhole)
    throw new VqcError(`a packet of ${body.length + CRC_BYTES} bytes cannot hold ${total} codes and parity of them`);
  const codes = unpackFixed(body.subarray(REDUNDANT_HEAD_BYTES), total, bits);
  const sums = fromCodebooks(codes.subarray(own * channels * count), { channels, layers, count });
  return {
    number: fromLittleEndian(body.subarray(0, 2)),
    frames: fromCodebooks(codes.subarray(0, own * channels * count), { channels, layers: own, count }),
    before: [],
    parity: { distances, layers, sums: sums.map((each) => each.codes) },
  };
}

/**
 * Read a packet with depths, without its checksum.
 * @param {Uint8Array} body @param {number} bits @param {number} channels @returns {Packet}
 */
function variedFromBytes(body, bits, channels) {
  const count = (body[3] & 15) + 1;
  const [most, repeated] = [body[5], body.length < VARIED_HEAD_BYTES ? MAX_REDUNDANCY + 1 : body[6]];
  const depthBits = bitLength(most);
  const own = channels * count;
  const all = own + channels * repeated;
  const codesAt = VARIED_HEAD_BYTES + Math.ceil((all * depthBits) / 8);
  if ((body[3] >> 4) + 1 !== channels || !most || repeated > MAX_REDUNDANCY || body.length < codesAt)
    throw new VqcError(`a packet of ${body.length + CRC_BYTES} bytes cannot hold ${all} depths up to ${most}`);
  const depths = unpackFixed(body.subarray(VARIED_HEAD_BYTES, codesAt), all, depthBits);
  const parts = [depths.subarray(0, own), depths.subarray(own)];
  if (depths.includes(0) || Math.max(...depths) !== most || parts.every((part) => part.every((depth) => depth === part[0])))
    throw new VqcError("a packet with depths has such as no packet has");
  const total = depths.reduce((sum, depth) => sum + depth, 0);
  if (body.length !== codesAt + Math.ceil((total * bits) / 8))
    throw new VqcError(`a packet of ${body.length + CRC_BYTES} bytes cannot hold ${total} codes of ${bits} bits`);
  const codes = unpackFixed(body.subarray(codesAt), total, bits);
  let next = 0;
  const [frames, before] = parts.map((part) => {
    const layers = Math.max(1, ...part);
    const placed = new Int32Array(layers * part.length).fill(-1);
    for (let layer = 0; layer < layers; layer++)
      part.forEach((depth, at) => {
        if (layer < depth) placed[layer * part.length + at] = codes[next++];
      });
    const its = fromCodebooks(placed, { channels, layers, count: part.length / channels });
    return its.flatMap((frame) => framesOf(frame, channels, layers));
  });
  return { number: fromLittleEndian(body.subarray(0, 2)), frames, before };
}

/** Codes [K, C, n] as frames [C, K, 1]. @param {Int32Array} codes @param {{channels: number, layers: number, count: number}} shape @returns {Block[]} */
function fromCodebooks(codes, { channels, layers, count }) {
  return Array.from({ length: count }, (_, frame) => {
    const at = (/** @type {number} */ index) => ((index % layers) * channels + Math.floor(index / layers)) * count + frame;
    return { codes: Int32Array.from({ length: channels * layers }, (_, index) => codes[at(index)]), layers, frames: 1 };
  });
}

/** Frames [C, K, 1] as codes by codebook, channel, frame. @param {Block[]} frames @param {number} channels */
function byCodebook(frames, channels) {
  const most = Math.max(0, ...frames.map(({ layers }) => layers));
  const codes = [];
  for (let layer = 0; layer < most; layer++)
    for (let channel = 0; channel < channels; channel++)
      for (const { codes: its, layers } of frames)
        if (layer < layers && its[channel * layers + layer] >= 0) codes.push(its[channel * layers + layer]);
  return codes;
}

/** The depths of a frame, one of each channel. @param {Block} frame @param {number} channels */
function depthsOf({ codes, layers }, channels) {
  return Array.from({ length: channels }, (_, channel) => {
    const depth = codes.subarray(channel * layers, (channel + 1) * layers).indexOf(-1);
    return depth < 0 ? layers : depth;
  });
}

/** Numbers of each frame and channel, in the order channel, frame. @param {number[][]} rows @param {number} channels */
const byChannel = (rows, channels) => Array.from({ length: channels }, (_, channel) => rows.map((row) => row[channel])).flat();

/** @param {Block} frame */
const codesIn = ({ codes }) => codes.reduce((count, code) => count + (code >= 0 ? 1 : 0), 0);

/** @param {number} number */
const bitLength = (number) => 32 - Math.clz32(number);

/**
 * The frames of a block, one by one, with as many of their first `kept` layers as one of the channels has.
 * @param {Block} block @param {number} channels @param {number} kept @returns {Block[]}
 */
function framesOf({ codes, layers, frames }, channels, kept) {
  return Array.from({ length: frames }, (_, frame) => {
    const at = (/** @type {number} */ channel, /** @type {number} */ layer) => (channel * layers + layer) * frames + frame;
    let depth = Math.min(kept, layers);
    const isEmpty = () => Array.from({ length: channels }, (_, channel) => codes[at(channel, depth - 1)]).every((code) => code < 0);
    while (depth > 1 && isEmpty()) depth--;
    const code = (/** @type {number} */ index) => codes[at(Math.floor(index / depth), index % depth)];
    return { codes: Int32Array.from({ length: channels * depth }, (_, index) => code(index)), layers: depth, frames: 1 };
  });
}

/** @param {Uint8Array} body @param {number} bits */
const checksum = (body, bits) => littleEndian(crc16(Uint8Array.from([bits, ...body])), CRC_BYTES);

/** @param {number} number */
const modulo = (number) => ((number % NUMBERS) + NUMBERS) % NUMBERS;
