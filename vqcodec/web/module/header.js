/** The header of a .vqc file: its fields, their bytes, and what follows from them for frames and payloads. */

import { crc16, fromLittleEndian, littleEndian } from "./checksums.js";
import { DamagedError, TruncatedError, VersionError, VqcError } from "./errors.js";

const COMMON_RATES_HZ = [
  8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000,
];
const EXPLICIT_RATE = 15;
const FIXED_BYTES = 14;
const CRC_BYTES = 2;
export const MAX_PAYLOAD_BYTES = 1 << 20;
const MAX_VARIED_CODES = 1 << 20;
const MAX_VARINT_BYTES = 3;

/**
 * @typedef {object} Fields
 * @property {Uint8Array} fingerprint the first 4 bytes of the SHA-256 of the model's weights
 * @property {number} sampleRateHz the model's
 * @property {number} hopLength model samples per frame
 * @property {number} originalRateHz the input's
 * @property {number} channels
 * @property {number | null} samples per channel at the original rate; null while unknown
 * @property {number} numCodebooks
 * @property {number} codebookSize a power of two
 */

/** What every reader must know before the first chunk. Throws VqcError for values outside the format. */
export class Header {
  /** @param {Fields} fields */
  constructor(fields) {
    this.fingerprint = fields.fingerprint;
    this.sampleRateHz = checked("sample_rate_hz", fields.sampleRateHz, 4000, 192000);
    this.originalRateHz = checked("original_rate_hz", fields.originalRateHz, 4000, 192000);
    this.hopLength = checked("hop_length", fields.hopLength, 1, 65535);
    this.channels = checked("channels", fields.channels, 1, 255);
    this.numCodebooks = checked("num_codebooks", fields.numCodebooks, 1, 255);
    this.codebookSize = checked("codebook_size", fields.codebookSize, 2, 65536);
    this.samples = fields.samples === null ? null : checked("samples", fields.samples, 0, 2 ** 40 - 1);
    this.bitsPerCode = Math.log2(this.codebookSize);
    if (!Number.isInteger(this.bitsPerCode)) throw new VqcError(`codebook_size ${this.codebookSize} is no power of two`);
    if (this.fingerprint.length !== 4) throw new VqcError(`a fingerprint has 4 bytes, not ${this.fingerprint.length}`);
  }

  /** Frames of the whole file, null while `samples` is unknown. */
  get frames() {
    return this.samples === null ? null : this.framesFor(this.samples);
  }

  /** Count the frames that samples per channel at the original rate need. @param {number} samples */
  framesFor(samples) {
    // Up to 2 ** 40 samples times a rate: beyond what doubles hold.
    const original = BigInt(this.originalRateHz);
    const modelSamples = (BigInt(samples) * BigInt(this.sampleRateHz) + original - 1n) / original;
    const hop = BigInt(this.hopLength);
    return Number((modelSamples + hop - 1n) / hop);
  }

  /** Tell where a frame starts, at most the duration. @param {number} frame */
  secondsAt(frame) {
    const seconds = (frame * this.hopLength) / this.sampleRateHz;
    return this.samples === null ? seconds : Math.min(seconds, this.samples / this.originalRateHz);
  }

  /** Count the bytes of a fixed-width layer of `frames` frames. @param {number} frames */
  layerBytes(frames) {
    return Math.ceil((this.channels * frames * this.bitsPerCode) / 8);
  }

  /** Count the most bytes of a layer of varied depth. @param {number} frames */
  variedLayerBytes(frames) {
    return Math.ceil((this.channels * frames * (this.bitsPerCode + 8)) / 8) + 8;
  }

  /** Count the most bytes of a payload of varied depth; 0 where there may be none. @param {number} frames */
  variedBytes(frames) {
    if (this.channels * frames * this.numCodebooks > MAX_VARIED_CODES) return 0;
    return Math.min(this.numCodebooks * (this.variedLayerBytes(frames) + MAX_VARINT_BYTES), MAX_PAYLOAD_BYTES);
  }

  /** Return the header as it stands in a file, 16 to 27 bytes. */
  toBytes() {
    const [modelRate, modelRateBytes] = rateToCode(this.sampleRateHz);
    const [originalRate, originalRateBytes] = rateToCode(this.originalRateHz);
    let width = 0;
    if (this.samples !== null) for (width = 1; this.samples >= 256 ** width; ) width++;
    const body = Uint8Array.from([
      ...[0x56, 0x51, 0x43, 1, ...this.fingerprint],
      ...[((this.bitsPerCode - 1) << 4) | width, this.numCodebooks, this.channels, (modelRate << 4) | originalRate],
      ...[...littleEndian(this.hopLength, 2), ...modelRateBytes, ...originalRateBytes],
      ...littleEndian(this.samples ?? 0, width),
    ]);
    return Uint8Array.from([...body, ...littleEndian(crc16(body), CRC_BYTES)]);
  }
}

/**
 * Read the header at the start of a file. Throws VqcError (no .vqc, or impossible values), VersionError,
 * TruncatedError, or DamagedError (checksum).
 * @param {Uint8Array} file @returns {{header: Header, lengthBytes: number}}
 */
export function readHeader(file) {
  checkMagic(file.subarray(0, 4));
  let length = FIXED_BYTES;
  if (file.length >= length) length += variableBytes(file) + CRC_BYTES;
  if (file.length < length) throw new TruncatedError(`the .vqc ends inside its header, after ${file.length} bytes`);
  const data = file.subarray(0, length);
  if (fromLittleEndian(data.subarray(-CRC_BYTES)) !== crc16(data.subarray(0, -CRC_BYTES)))
    throw new DamagedError("the header of the .vqc is damaged (its checksum does not fit)");
  const header = parse(data);
  if (!header.toBytes().every((byte, index) => byte === data[index]))
    throw new VqcError("the header of the .vqc is not in its shortest form");
  return { header, lengthBytes: length };
}

/** @param {string} name @param {number} value @param {number} low @param {number} high */
function checked(name, value, low, high) {
  if (!(value >= low && value <= high)) throw new VqcError(`${name} ${value} is outside ${low} to ${high}`);
  return value;
}

/** @param {Uint8Array} start */
function checkMagic(start) {
  if (!start.length) throw new TruncatedError("not a .vqc file (it is empty)");
  if ([..."VQC"].some((letter, index) => index < start.length && start[index] !== letter.charCodeAt(0)))
    throw new VqcError("not a .vqc file (it does not start with VQC)");
  if (start.length > 3 && start[3] !== 1)
    throw new VersionError(`.vqc version ${start[3]} is not known here, only version 1`);
}

/** @param {Uint8Array} data */
function variableBytes(data) {
  const explicit = [data[11] >> 4, data[11] & 15].filter((code) => code === EXPLICIT_RATE).length;
  return 3 * explicit + (data[8] & 15);
}

/** @param {Uint8Array} data */
function parse(data) {
  const width = data[8] & 15;
  const samplesAt = data.length - CRC_BYTES - width;
  // Above 5 bytes no width is the shortest, which `readHeader` finds; 6 still fit into a double.
  if (width > 6) throw new VqcError("samples is outside 0 to 1099511627775");
  return new Header({
    fingerprint: data.slice(4, 8),
    sampleRateHz: rateFromCode(data[11] >> 4, data.subarray(FIXED_BYTES, FIXED_BYTES + 3)),
    // Two explicit rates stand one after the other, the original one last.
    originalRateHz: rateFromCode(data[11] & 15, data.subarray(samplesAt - 3, samplesAt)),
    hopLength: fromLittleEndian(data.subarray(12, 14)),
    channels: data[10],
    samples: width ? fromLittleEndian(data.subarray(samplesAt, samplesAt + width)) : null,
    numCodebooks: data[9],
    codebookSize: 2 << (data[8] >> 4),
  });
}

/** @param {number} rateHz @returns {[number, Uint8Array]} */
function rateToCode(rateHz) {
  const code = COMMON_RATES_HZ.indexOf(rateHz);
  return code >= 0 ? [code, new Uint8Array()] : [EXPLICIT_RATE, littleEndian(rateHz, 3)];
}

/** @param {number} code @param {Uint8Array} explicit */
function rateFromCode(code, explicit) {
  if (code === EXPLICIT_RATE) return fromLittleEndian(explicit);
  if (code >= COMMON_RATES_HZ.length) throw new VqcError(`rate code ${code} is not defined`);
  return COMMON_RATES_HZ[code];
}
