/** Reading .vqc files chunk by chunk, from any frame on, also while they come; vqcodec/bitstream/spec.py is the format. */

import { fromLittleEndian } from "./checksums.js";
import { cutInTurns } from "./chunk.js";
import { DamagedError, TruncatedError, VqcError } from "./errors.js";
import { damaged, truncated } from "./faults.js";
import { readHeader } from "./header.js";
import * as records from "./records.js";
import { findWholeChunks } from "./resync.js";

/** @typedef {import("./records.js").Head} Head */
/** @typedef {{position: number, frames: number, head: Head | null, body: Uint8Array | null}} VqcRecord */
/** @typedef {(error: VqcError) => void} OnDamage */
/** @typedef {import("./chunk.js").Chunk} Chunk */

const SHORTEST_RECORD_BYTES = 8;
const MOST_REPAIR_BYTES = 2 ** 26; // read to find which byte of a head is damaged, beside 64 for each byte before it
const MAX_LOST_FRAMES = 65536; // beside one for every bit of the file before the next whole chunk
const FRAMES_PER_CHUNK = 256;
const EQUAL_CHANNELS = "vqc.channels";

/**
 * Reads a .vqc that lies in memory, or what has come of it so far. Opening reads the header and the tags; `samples` is
 * the header's, or null until the last chunk of a stream has been read. Throws what `readHeader` does.
 */
export class VqcReader {
  /** @param {Uint8Array} file @param {boolean} isWhole */
  constructor(file, isWhole = true) {
    this.file = file;
    this.isWhole = isWhole;
    const { header, lengthBytes } = readHeader(file);
    this.header = header;
    this.samples = header.samples;
    this.#start = this.#at = lengthBytes;
    this.tags = this.#readTags();
  }

  #start;
  #at;
  #repairBytes = 0;
  #lostFrames = 0;
  #lacksBytes = false; // why the last null was
  /** @type {(() => void)[]} */
  #waiting = [];

  /** Tell whether header and tags have come, which opening reads. Throws what `readHeader` does. @param {Uint8Array} start */
  static canOpen(start) {
    try {
      const { lengthBytes } = readHeader(start);
      const head = records.headAt(start, lengthBytes);
      if (!head) return start.length >= lengthBytes + records.LONGEST_HEAD_BYTES;
      return head.tag !== records.TAG_TAGS || holds(start, lengthBytes, head, head.value);
    } catch (error) {
      if (error instanceof TruncatedError) return false;
      throw error;
    }
  }

  /** Take more of a file that is still coming. @param {Uint8Array} file all that has come @param {boolean} isWhole */
  grow(file, isWhole) {
    this.file = file;
    this.isWhole = isWhole;
    for (const goOn of this.#waiting.splice(0)) goOn();
  }

  /** Wait after a null: for more of the file, if that is what it lacks, or until others had their turn. @returns {Promise<void>} */
  rest() {
    const lacksBytes = this.#lacksBytes && !this.isWhole;
    this.#lacksBytes = false;
    return new Promise((resolve) => (lacksBytes ? this.#waiting.push(resolve) : setTimeout(resolve)));
  }

  /** The null of a pass that goes on when more of the file has come. */
  #more() {
    this.#lacksBytes = true;
    return null;
  }

  /** The channels of the input: those of the codes, or as many as the tags say were all the same. */
  get decodedChannels() {
    const text = this.tags.get(EQUAL_CHANNELS) ?? "";
    const count = /^[1-9][0-9]{0,2}$/.test(text) ? Number(text) : 1;
    return this.header.channels === 1 && count >= 2 && count <= 255 ? count : this.header.channels;
  }

  /**
   * Yield the frames from `startFrame` to before `endFrame` (null: all) in one Chunk per chunk of the file.
   *
   * `numCodebooks` unpacks the first layers only; `entropy` is the model's, for entropy-coded chunks. With `fill` frames
   * of pauses have the codes that they sound as. A damaged chunk throws DamagedError with its seconds. With `onDamage`
   * that error goes there, the lost frames come without layers, and reading goes on at the next whole chunk, wherever
   * inserted or missing bytes have moved it. Also throws TruncatedError, VersionError, VqcError, and ModelError (`entropy` is missing or another).
   * @param {object} [options]
   * @param {number} [options.startFrame] @param {number | null} [options.endFrame] @param {number} [options.numCodebooks]
   * @param {import("./entropy.js").EntropyModel | null} [options.entropy] @param {OnDamage | null} [options.onDamage]
   * @param {boolean} [options.fill]
   * @returns {Generator<Chunk>}
   */
  *chunks(options = {}) {
    this.#checkWhole();
    for (const chunk of this.chunksInTurns(options)) if (chunk) yield chunk;
  }

  /**
   * Do as `chunks`, and yield null now and then in long work, and where more of the file must come: await `rest`, and
   * go on. What is damaged waits for the whole file.
   * @param {Parameters<VqcReader["chunks"]>[0]} options @returns {Generator<Chunk | null>}
   */
  *chunksInTurns({ startFrame = 0, endFrame = null, numCodebooks, entropy = null, fill = false, onDamage = null } = {}) {
    const depth = numCodebooks ?? this.header.numCodebooks;
    if (!(depth >= 1 && depth <= this.header.numCodebooks))
      throw new RangeError(`numCodebooks ${depth} is outside 1 to ${this.header.numCodebooks}`);
    const total = this.header.frames;
    const end = endFrame === null || (total !== null && endFrame >= total) ? null : endFrame;
    for (const record of this.recordsInTurns(onDamage, startFrame, end))
      if (!record) yield null;
      else if (record.frames && record.position + record.frames > startFrame)
        yield* cutInTurns(record, { startFrame, end, depth, entropy, fill, header: this.header });
  }

  /** Read the length of a stream, whose last chunk tells it; with `onDamage` that of what is left. */
  scan(/** @type {OnDamage | null} */ onDamage = null) {
    this.#checkWhole();
    for (const _ of this.recordsInTurns(onDamage, Infinity));
    return /** @type {number} */ (this.samples);
  }

  /** Yield the records of a whole file. @param {OnDamage | null} onDamage @returns {Generator<VqcRecord>} */
  *records(onDamage = null) {
    this.#checkWhole();
    for (const record of this.recordsInTurns(onDamage)) if (record) yield record;
  }

  #checkWhole() {
    if (!this.isWhole) throw new RangeError("the file is still coming: take chunksInTurns");
  }

  /**
   * Yield the records up to frame `end` (null: all); the bodies of chunks that end at or before `startFrame` are passed
   * over. Nulls as of `chunksInTurns`.
   * @param {OnDamage | null} onDamage @param {number} startFrame @param {number | null} end
   * @returns {Generator<VqcRecord | null>}
   */
  *recordsInTurns(onDamage = null, startFrame = 0, end = null) {
    let [position, total] = [0, this.header.frames];
    this.#at = this.#start;
    this.#lostFrames = this.#repairBytes = 0;
    let isEndLost = false;
    while (total === null || position < total) {
      if (end !== null && position >= end) return;
      const [at, goBack] = [this.#at, this.#place()];
      while (!this.isWhole && !this.#hasCome(at)) yield this.#more();
      goBack();
      /** @type {VqcRecord | null} */
      let record;
      try {
        record = this.#next(position, startFrame);
      } catch (error) {
        if (!onDamage || !(error instanceof VqcError)) throw error;
        if (!this.isWhole) {
          while (!this.isWhole) yield this.#more();
          goBack();
          continue;
        }
        record = yield* this.#recover(at, position, error, onDamage);
        if (!record) {
          isEndLost = true;
          break;
        }
      }
      const goOn = this.#place();
      yield record;
      goOn();
      position += record.frames;
      if (record.head?.isLast) total = position;
    }
    const goOn = this.#place();
    while (!this.isWhole) yield this.#more();
    goOn();
    if (!isEndLost) yield* this.#afterTheEnd(position, onDamage);
    this.samples ??= this.#coveredSamples(position);
  }

  /** Return what leads a pass over the records back to where it is, after others have begun. */
  #place() {
    const [at, repairBytes, lostFrames] = [this.#at, this.#repairBytes, this.#lostFrames];
    return () => {
      [this.#at, this.#repairBytes, this.#lostFrames] = [at, repairBytes, lostFrames];
    };
  }

  /** Tell whether the record at `at` has come, or what cannot be one. @param {number} at */
  #hasCome(at) {
    const head = records.headAt(this.file, at);
    if (!head) return false; // perhaps a damaged one: all of the file tells
    const length = records.bodyBytesOrNull(head, this.header);
    return length === null || holds(this.file, at, head, length);
  }

  /** Read the record after `position` frames, or only its head. @param {number} position @param {number} startFrame */
  #next(position, startFrame) {
    const head = this.#nextHead(position);
    const length = head.bodyBytes(this.header);
    this.#checkChunk(head, position);
    const isPassedOver = !head.isSkippable && !head.isLast && position + head.frames <= startFrame;
    const body = this.#body(head, length, position, isPassedOver);
    if (head.isLast) this.#takeSamples(body, position + head.frames);
    return { position, frames: head.frames, head, body: isPassedOver ? null : body };
  }

  /** Read a head; one with a single damaged byte is repaired if the record's checksum confirms it. */
  #nextHead(/** @type {number} */ position) {
    const at = this.#at;
    const head = records.headAt(this.file, at);
    if (head) {
      this.#at += head.headBytes;
      return head;
    }
    if (at + SHORTEST_RECORD_BYTES > this.file.length) throw truncated(this.header, position);
    const possible = [...records.repairedHeads(this.file.subarray(at, at + SHORTEST_RECORD_BYTES))].flatMap((each) => {
      const length = records.bodyBytesOrNull(each, this.header);
      return length === null ? [] : [{ head: each, length: length + records.CRC_BYTES }];
    });
    for (const candidate of possible.sort((one, other) => one.length - other.length)) {
      this.#repairBytes += candidate.length;
      if (this.#repairBytes > MOST_REPAIR_BYTES + 64 * at) break;
      const bodyAt = at + candidate.head.headBytes;
      const rest = this.file.subarray(bodyAt, bodyAt + candidate.length);
      const body = rest.subarray(0, -records.CRC_BYTES);
      if (rest.length < candidate.length) continue;
      if (fromLittleEndian(rest.subarray(body.length)) !== records.checksum(candidate.head, body, position)) continue;
      this.#at = bodyAt;
      return candidate.head;
    }
    throw damaged(this.header, position, null);
  }

  /** Throw VqcError if no such chunk may stand after `position` frames. @param {Head} head @param {number} position */
  #checkChunk(head, position) {
    if (head.isLast && this.header.samples !== null)
      throw new VqcError("the .vqc says its length twice, in its header and in its last chunk");
    const total = this.header.frames;
    if (total !== null && position + head.frames > total)
      throw new VqcError(`the .vqc has more frames than the ${total} of ${this.header.samples} samples`);
  }

  /** The body of the record after `head`. */
  #body(/** @type {Head} */ head, /** @type {number} */ length, /** @type {number} */ position, isUnchecked = false) {
    const end = this.#at + length;
    if (end + records.CRC_BYTES > this.file.length) throw truncated(this.header, position);
    const body = this.file.subarray(this.#at, end);
    const stored = fromLittleEndian(this.file.subarray(end, end + records.CRC_BYTES));
    if (!isUnchecked && stored !== records.checksum(head, body, position))
      throw damaged(this.header, position, position + head.frames);
    if (head.tag === records.TAG_TAGS) {
      if (this.#at - head.headBytes !== this.#start) throw new VqcError("the tags of the .vqc do not follow its header");
      records.parseTags(body);
    }
    this.#at = end + records.CRC_BYTES;
    return body;
  }

  /**
   * After `error` in the record at `at`, behind `position` frames: what is lost up to the next whole chunk. Null where
   * nothing whole follows and the number of lost frames is unknown, or more than the bytes can have held. Yields null.
   * @param {number} at @param {number} position @param {VqcError} error @param {OnDamage} onDamage
   * @returns {Generator<null, VqcRecord | null>}
   */
  *#recover(at, position, error, onDamage) {
    const goOn = this.#place();
    const found = yield* this.#resync(at, position);
    goOn();
    this.#at = found?.start ?? this.file.length;
    let end = found?.position ?? null;
    if (end === null && !(error instanceof DamagedError)) {
      onDamage(error);
      return null;
    }
    if (end === null) {
      const head = records.headAt(this.file, at);
      end = head ? position + head.frames : this.header.frames;
      if (end !== null && end > position + FRAMES_PER_CHUNK + 8 * (this.file.length - at)) end = null;
    }
    onDamage(end === position && !(error instanceof DamagedError) ? error : damaged(this.header, position, end));
    if (end === null) return null;
    this.#lostFrames += end - position;
    return { position, frames: end - position, head: null, body: null };
  }

  /**
   * Find the next whole chunk, at frame `position` or later, or null. What stands at `at` for `position` is not taken:
   * reading it has failed, whatever its checksum says. Yields null.
   * @param {number} at @param {number} position
   */
  *#resync(at, position) {
    const total = this.header.frames;
    const mostFrames = MAX_LOST_FRAMES - this.#lostFrames;
    for (const found of findWholeChunks(this.file, at, this.header, position)) {
      if (!found) yield null;
      if (!found || (found.start === at && found.position === position)) continue;
      if (total !== null && (found.head.isLast || found.position + found.head.frames > total)) continue;
      // More than the bytes can have held, and what looks like a chunk behind them is chance, or an attack.
      if (found.position >= position && found.position - position <= mostFrames + 8 * found.start) return found;
    }
    return null;
  }

  /** Set `samples` from the start of the last chunk's body. @param {Uint8Array} body @param {number} frames */
  #takeSamples(body, frames) {
    const samples = fromLittleEndian(body.subarray(0, records.SAMPLES_BYTES));
    if (this.header.framesFor(samples) !== frames)
      throw new VqcError(`the .vqc has ${frames} frames, its ${samples} samples ask for another number`);
    this.samples = samples;
  }

  /** All samples that `frames` frames cover. @param {number} frames */
  #coveredSamples(frames) {
    const { hopLength, originalRateHz, sampleRateHz } = this.header;
    return Number((BigInt(frames) * BigInt(hopLength) * BigInt(originalRateHz)) / BigInt(sampleRateHz));
  }

  /**
   * After the audio only skippable records may follow.
   * @param {number} position @param {OnDamage | null} onDamage @returns {Generator<VqcRecord>}
   */
  *#afterTheEnd(position, onDamage) {
    try {
      while (this.#at < this.file.length) {
        const head = records.headAt(this.file, this.#at);
        if (!head?.isSkippable)
          throw new VqcError("the .vqc goes on after the end of its audio; remove what was appended");
        this.#at += head.headBytes;
        const body = this.#body(head, head.value, position);
        const next = this.#at;
        yield { position, frames: 0, head, body };
        this.#at = next;
      }
    } catch (error) {
      if (!onDamage || !(error instanceof VqcError)) throw error;
      onDamage(error);
    }
  }

  /** The tags that follow the header; none where there are none, or where the record is damaged or malformed. */
  #readTags() {
    const head = records.headAt(this.file, this.#start);
    try {
      if (head?.tag !== records.TAG_TAGS) return new Map();
      this.#at = this.#start + head.headBytes;
      return records.parseTags(this.#body(head, head.value, 0));
    } catch (error) {
      if (!(error instanceof VqcError)) throw error;
      return new Map(); // whoever reads the records is told
    }
  }
}

/** Whether a record is there to its end. */
function holds(/** @type {Uint8Array} */ file, /** @type {number} */ at, /** @type {Head} */ head, /** @type {number} */ length) {
  return at + head.headBytes + length + records.CRC_BYTES <= file.length;
}
