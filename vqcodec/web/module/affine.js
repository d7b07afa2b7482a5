/**
 * (weight @ x + bias) >> shift in integers: a WebAssembly function that multiplies eight pairs at a time.
 *
 * It stands here as instructions, so that nothing has to be compiled; JavaScript alone takes eight times as long. Inputs
 * and weights are int16, which holds a sum of embeddings: 255 layers of at most 128. Whoever calls makes sure that no
 * sum of absolute products exceeds 2 ** 30 - 1, so that the order of additions does not matter.
 */

const [WEIGHT, X, GROUPS, BIAS, SHIFT, OUT, OUTPUTS, SUM, X_AT, LEFT] = Array(10).keys(); // parameters, then locals
const [I32, V128, VOID] = [0x7f, 0x7b, 0x40];
const get = (/** @type {number} */ local) => [0x20, local];
const set = (/** @type {number} */ local) => [0x21, local];
const LOOP = [0x03, VOID];
const END = 0x0b;
const ADD = 0x6a;
const LOAD = [0x28, 2, 0];
const LOAD_EIGHT = [0xfd, 0x00, 4, 0];
const step = (/** @type {number} */ local, /** @type {number} */ bytes) => [...get(local), 0x41, bytes, ADD, ...set(local)];
const lane = (/** @type {number} */ index) => [...get(SUM), 0xfd, 0x1b, index];
/** Count down, and go on with the loop until nothing is left. */
const repeat = (/** @type {number} */ local) => [...get(local), 0x41, 1, 0x6b, 0x22, local, 0x0d, 0];

const BODY = [
  ...[2, 1, V128, 2, I32], // locals: SUM; X_AT and LEFT
  ...LOOP, // over outputs
  ...[0xfd, 0x0c, ...Array(16).fill(0), ...set(SUM)],
  ...[...get(X), ...set(X_AT), ...get(GROUPS), ...set(LEFT)],
  ...LOOP, // over groups of eight inputs
  ...[...get(SUM), ...get(WEIGHT), ...LOAD_EIGHT, ...get(X_AT), ...LOAD_EIGHT],
  ...[0xfd, 0xba, 0x01], // i32x4.dot_i16x8_s
  ...[0xfd, 0xae, 0x01, ...set(SUM)], // i32x4.add
  ...[...step(WEIGHT, 16), ...step(X_AT, 16), ...repeat(LEFT), END],
  ...[...get(OUT), ...lane(0), ...lane(1), ADD, ...lane(2), ADD, ...lane(3), ADD],
  ...[...get(BIAS), ...LOAD, ADD, ...get(SHIFT), ...LOAD, 0x75], // i32.shr_s
  ...[0x36, 2, 0], // i32.store
  ...[...step(BIAS, 4), ...step(SHIFT, 4), ...step(OUT, 4), ...repeat(OUTPUTS), END, END],
];

const leb = (/** @type {number} */ value) => (value < 128 ? [value] : [(value & 0x7f) | 0x80, value >> 7]);
const text = (/** @type {string} */ name) => [name.length, ...new TextEncoder().encode(name)];
const section = (/** @type {number} */ id, /** @type {number[]} */ content) => [id, ...leb(content.length), ...content];
const MODULE = new WebAssembly.Module(
  Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 7, ...Array(7).fill(I32), 0]), // one type: seven integers -> nothing
    ...section(2, [1, ...text(""), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("affine"), 0, 0]),
    ...section(10, [1, ...leb(BODY.length), ...BODY]),
  ]),
);
const PAGE_BYTES = 65536;

/** Memory with the parameters of affine functions and their inputs and outputs, and what computes with it. */
export class Affines {
  #memory = new WebAssembly.Memory({ initial: 1 });
  #used = 0;
  #run = /** @type {(...places: number[]) => void} */ (
    new WebAssembly.Instance(MODULE, { "": { memory: this.#memory } }).exports.affine
  );

  /**
   * Add a function and return it: it fills `out` [outputs] from `x` [inputs], both of `vector`.
   * @param {Int8Array} weight [outputs, inputs] @param {Int32Array} bias @param {Int32Array} shift
   */
  add(weight, bias, shift) {
    const inputs = weight.length / bias.length;
    const groups = Math.max(1, Math.ceil(inputs / 8));
    const weightAt = this.#reserve(16 * groups * bias.length);
    const [biasAt, shiftAt] = [this.#reserve(4 * bias.length), this.#reserve(4 * bias.length)];
    const rows = new Int16Array(this.#memory.buffer, weightAt, 8 * groups * bias.length);
    for (let output = 0; output < bias.length; output++)
      rows.set(weight.subarray(output * inputs, (output + 1) * inputs), output * 8 * groups);
    new Int32Array(this.#memory.buffer, biasAt, bias.length).set(bias);
    new Int32Array(this.#memory.buffer, shiftAt, bias.length).set(shift);
    return (/** @type {number} */ x, /** @type {number} */ out) =>
      this.#run(weightAt, x, groups, biasAt, shiftAt, out, bias.length);
  }

  /** Make room for `count` inputs or outputs, zeros, and return where. @param {number} count */
  vector(count) {
    return this.#reserve(4 * (count + 8));
  }

  /** The inputs at a place. Valid until the next `add` or `vector`. @param {number} at @param {number} count */
  inputs(at, count) {
    return new Int16Array(this.#memory.buffer, at, count);
  }

  /** The outputs at a place, as `inputs`. @param {number} at @param {number} count */
  outputs(at, count) {
    return new Int32Array(this.#memory.buffer, at, count);
  }

  /** @param {number} bytes */
  #reserve(bytes) {
    const at = this.#used;
    this.#used += Math.ceil(bytes / 16) * 16;
    const missing = Math.ceil(this.#used / PAGE_BYTES) - this.#memory.buffer.byteLength / PAGE_BYTES;
    if (missing > 0) this.#memory.grow(missing);
    return at;
  }
}
