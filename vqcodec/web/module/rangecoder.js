/**
 * Range coding in integers: symbols with given weights <-> bytes.
 *
 * Offsets and widths have up to 56 bits, which doubles do not hold: they are BigInt. Sums of weights stay below 2 ** 40
 * (65536 of at most 2 ** 24), so all that is said of weights is exact in doubles.
 */

import { VqcError } from "./errors.js";

const WHOLE = 1n << 56n;
const LEAST_WIDTH = 1n << 48n;

/** Bytes in, symbols out: `find` the target, then `take` the symbol that holds it. */
export class RangeDecoder {
  #offset = 0n;
  #width = WHOLE;
  #share = 0n;
  #next = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    while (this.#next < 7) this.#offset = (this.#offset << 8n) | this.#byte();
  }

  /** Return a number below `total` in the next symbol's span. Throws VqcError where none can be. @param {number} total */
  find(total) {
    this.#share = this.#width / BigInt(total);
    // Below 2 ** 56, so that rounding to a double takes nothing from `total` or more to below it.
    const target = Number(this.#offset / this.#share);
    if (target >= total) throw new VqcError("an entropy-coded layer holds what no encoder writes");
    return target;
  }

  /** Pass over the symbol whose span is [start, start + weight). @param {number} start @param {number} weight */
  take(start, weight) {
    this.#offset -= this.#share * BigInt(start);
    this.#width = this.#share * BigInt(weight);
    while (this.#width < LEAST_WIDTH) {
      this.#width <<= 8n;
      this.#offset = (this.#offset << 8n) | this.#byte();
    }
  }

  /** Decode a symbol from the weights that `ends`, their running sum, has. @param {Float64Array} ends */
  symbol(ends) {
    const target = this.find(ends[ends.length - 1]);
    let [low, high] = [0, ends.length - 1]; // the first end above the target
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] > target) high = middle;
      else low = middle + 1;
    }
    const start = low ? ends[low - 1] : 0;
    this.take(start, ends[low] - start);
    return low;
  }

  #byte() {
    return BigInt(this.bytes[this.#next++] ?? 0);
  }
}

/** Symbols in, bytes out. */
export class RangeEncoder {
  /** @type {number[]} */
  #bytes = [];
  #low = 0n;
  #width = WHOLE;

  /** Append the symbol of `weight` with `start`, the sum of the weights before it, of `total`. */
  encode(/** @type {number} */ start, /** @type {number} */ weight, /** @type {number} */ total) {
    const share = this.#width / BigInt(total);
    this.#low += share * BigInt(start);
    this.#width = share * BigInt(weight);
    while (this.#width < LEAST_WIDTH) {
      this.#emit();
      this.#width <<= 8n;
    }
  }

  /** Return the fewest bytes that decode to the symbols, zeros following: those of the roundest number inside. */
  finish() {
    let rounded = this.#low;
    for (let zeros = 56n; zeros >= 0n; zeros -= 8n) {
      rounded = ((this.#low + (1n << zeros) - 1n) >> zeros) << zeros;
      if (rounded < this.#low + this.#width) break;
    }
    this.#low = rounded;
    for (let count = 0; count < 7; count++) this.#emit();
    let length = this.#bytes.length;
    while (length && !this.#bytes[length - 1]) length--;
    return Uint8Array.from(this.#bytes.slice(0, length));
  }

  /** Move the top byte of `low` out, and a carry before it. */
  #emit() {
    if (this.#low >= WHOLE) {
      this.#low -= WHOLE;
      let index = this.#bytes.length - 1;
      for (; this.#bytes[index] === 0xff; index--) this.#bytes[index] = 0;
      this.#bytes[index]++;
    }
    this.#bytes.push(Number(this.#low >> 48n));
    this.#low = (this.#low & (LEAST_WIDTH - 1n)) << 8n;
  }
}
