/** The three checksums of .vqc, and what the linearity of CRC-32 allows: computing with them without the bytes. */

const POLYNOMIAL = 0xedb88320;
/** The polynomial 1, its bits reversed. */
const ONE = 0x80000000;

/** @param {(byte: number) => number} step */
const table = (step) => Uint32Array.from({ length: 256 }, (_, byte) => step(byte));

const CRC8 = table((crc) => {
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x80 ? 0x12f : 0);
  return crc;
});
const CRC8_BACK = new Uint8Array(256);
CRC8.forEach((entry, byte) => (CRC8_BACK[entry] = byte));

const CRC32 = table((crc) => {
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  return crc >>> 0;
});
const CRC32_BACK = new Uint8Array(256);
CRC32.forEach((entry, byte) => (CRC32_BACK[entry >>> 24] = byte));

/** Compute CRC-8/AUTOSAR of the bytes from `start` to before `end`. @param {Uint8Array} data */
export function crc8(data, start = 0, end = data.length) {
  let crc = 0xff;
  for (let at = start; at < end; at++) crc = CRC8[crc ^ data[at]];
  return crc ^ 0xff;
}

/** Return the difference of a byte that makes this difference of the CRC-8 behind it. @param {number} difference */
export const crc8StepBack = (difference) => CRC8_BACK[difference];

/** Compute CRC-16/IBM-3740. @param {Uint8Array} data */
export function crc16(data) {
  let crc = 0xffff;
  for (const byte of data) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x11021 : 0);
  }
  return crc;
}

/** Compute CRC-32/ISO-HDLC of what has the CRC-32 `before` and then `data`. @param {Uint8Array} data */
export function crc32(data, before = 0) {
  let crc = ~before;
  for (let index = 0; index < data.length; index++) crc = CRC32[(crc ^ data[index]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * Return the CRC-32 of the bytes that must stand before `lengthBytes` given ones for that of both to be `whole`.
 *
 * The given bytes are known by two other CRC-32: of what stood before them elsewhere, `start`, and of both, `end`. The
 * CRC being linear, a difference at the end is one at the start times x ** (8 * lengthBytes), whatever the bytes are.
 * @param {number} whole @param {{start: number, end: number, lengthBytes: number}} known lengthBytes below 2 ** 24
 */
export function crc32AheadOf(whole, { start, end, lengthBytes }) {
  let difference = (whole ^ end) >>> 0;
  for (let digit = 0; digit < 3; digit++) {
    const power = (lengthBytes >> (8 * digit)) & 0xff;
    if (power) difference = times(difference, inversePowers(digit)[power]);
  }
  return (start ^ difference) >>> 0;
}

/** Return the 4 bytes, as an integer, after which 4 more, `high`, must follow for the CRC-32 of all 8 to be `crc`. */
export function crc32Backwards(/** @type {number} */ crc, /** @type {number} */ high) {
  let register = ~crc;
  for (let at = 7; at >= 0; at--) {
    const index = CRC32_BACK[register >>> 24];
    const byte = at < 4 ? 0 : (high >>> (8 * (at - 4))) & 0xff;
    register = ((register ^ CRC32[index]) << 8) | (index ^ byte);
  }
  return ~register >>> 0;
}

/** Return the little-endian bytes of an integer from 0 to 2 ** 53. @param {number} value @param {number} length */
export function littleEndian(value, length) {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    bytes[index] = value % 256;
    value = Math.floor(value / 256);
  }
  return bytes;
}

/** Return the unsigned integer of at most 6 little-endian bytes, from `start` to before `end`. @param {Uint8Array} bytes */
export function fromLittleEndian(bytes, start = 0, end = bytes.length) {
  let value = 0;
  for (let at = Math.min(end, bytes.length) - 1; at >= start; at--) value = value * 256 + bytes[at];
  return value;
}

/** @type {number[][]} */
const INVERSE_POWERS = [];

/** x ** (-8 * n * 256 ** digit) for n from 0 to 255, modulo the polynomial of CRC-32. @param {number} digit */
function inversePowers(digit) {
  if (!INVERSE_POWERS[digit]) {
    let base = ONE;
    if (digit) base = times(inversePowers(digit - 1)[255], inversePowers(digit - 1)[1]);
    else for (let bit = 0; bit < 8; bit++) base = (base & ONE ? ((base ^ POLYNOMIAL) << 1) | 1 : base << 1) >>> 0;
    const powers = [ONE];
    while (powers.length < 256) powers.push(times(powers[powers.length - 1], base));
    INVERSE_POWERS[digit] = powers;
  }
  return INVERSE_POWERS[digit];
}

/** Product of two polynomials, bits reversed, modulo that of CRC-32. @param {number} first @param {number} second */
function times(first, second) {
  let product = 0;
  while (first) {
    if (first & ONE) product ^= second;
    first <<= 1;
    second = (second >>> 1) ^ (second & 1 ? POLYNOMIAL : 0);
  }
  return product >>> 0;
}
