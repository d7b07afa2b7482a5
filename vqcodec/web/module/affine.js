/**
 * weight @ x + bias in integers: a WebAssembly function that makes sixteen outputs at a time, of two inputs in a step.
 *
 * It stands here as instructions, so that nothing has to be compiled; JavaScript alone takes many times as long. Inputs
 * and weights are int16, which holds a sum of embeddings: 255 layers of at most 128. Whoever calls makes sure that no
 * sum of absolute products exceeds 2 ** 30 - 1, so that the order of additions does not matter.
 */

const TOGETHER = 16; // outputs, in four vectors
const [WEIGHT, X, PAIRS, BIAS, OUT, BLOCKS, X_AT, LEFT, PAIR, SUM] = Array(10).keys(); // parameters, then locals; four sums
const [I32, V128, VOID] = [0x7f, 0x7b, 0x40];
const get = (/** @type {number} */ local) => [0x20, local];
const set = (/** @type {number} */ local) => [0x21, local];
const LOOP = [0x03, VOID];
const END = 0x0b;
const step = (/** @type {number} */ local, /** @type {number} */ bytes) => [...get(local), 0x41, ...signed(bytes), 0x6a, ...set(local)];
const signed = (/** @type {number} */ value) => (value < 64 ? [value] : [value | 0x80, 0]);
const load = (/** @type {number} */ local, /** @type {number} */ offset) => [...get(local), 0xfd, 0x00, 4, offset];
const four = (/** @type {(vector: number) => number[]} */ make) => [0, 1, 2, 3].flatMap(make);
/** Count down, and go on with the loop until nothing is left. */
const repeat = (/** @type {number} */ local) => [...get(local), 0x41, 1, 0x6b, 0x22, local, 0x0d, 0];

const BODY = [
  ...[2, 2, I32, 5, V128], // locals: X_AT and LEFT; PAIR and sums
  ...LOOP, // over blocks of outputs
  ...four((vector) => [...load(BIAS, 16 * vector), ...set(SUM + vector)]),
  ...[...get(X), ...set(X_AT), ...get(PAIRS), ...set(LEFT)],
  ...LOOP, // over pairs of inputs
  ...[...get(X_AT), 0xfd, 0x09, 2, 0, ...set(PAIR)], // v128.load32_splat
  ...four((vector) => [
    ...[...get(PAIR), ...load(WEIGHT, 16 * vector), 0xfd, 0xba, 0x01], // i32x4.dot_i16x8_s
    ...[...get(SUM + vector), 0xfd, 0xae, 0x01, ...set(SUM + vector)], // i32x4.add
  ]),
  ...[...step(WEIGHT, 64), ...step(X_AT, 4), ...repeat(LEFT), END],
  ...four((vector) => [...get(OUT), ...get(SUM + vector), 0xfd, 0x0b, 4, 16 * vector]), // v128.store
  ...[...step(BIAS, 64), ...step(OUT, 64), ...repeat(BLOCKS), END, END],
];

const leb = (/** @type {number} */ value) => (value < 128 ? [value] : [(value & 0x7f) | 0x80, value >> 7]);
const text = (/** @type {string} */ name) => [name.length, ...new TextEncoder().encode(name)];
const section = (/** @type {number} */ id, /** @type {number[]} */ content) => [id, ...leb(content.length), ...content];
const MODULE = new WebAssembly.Module(
  Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 6, ...Array(6).fill(I32), 0]), // one type: six integers -> nothing
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
   * Add a function and return it: it fills `out` [outputs] from `x` [inputs], both of `vector`; an odd number of inputs
   * is followed by a zero.
   * @param {Int8Array} weight [outputs, inputs] @param {Int32Array} bias
   */
  add(weight, bias) {
    const inputs = weight.length / bias.length;
    const pairs = Math.max(1, Math.ceil(inputs / 2));
    const blocks = Math.ceil(bias.length / TOGETHER);
    const weightAt = this.#reserve(4 * pairs * TOGETHER * blocks);
    const biasAt = this.#reserve(4 * TOGETHER * blocks);
    const pairsOfAll = new Int16Array(this.#memory.buffer, weightAt, 2 * pairs * TOGETHER * blocks);
    for (let output = 0; output < bias.length; output++)
      for (let input = 0; input < inputs; input++) {
        const at = (Math.floor(output / TOGETHER) * pairs + (input >> 1)) * TOGETHER + (output % TOGETHER);
        pairsOfAll[2 * at + (input & 1)] = weight[output * inputs + input];
      }
    new Int32Array(this.#memory.buffer, biasAt, bias.length).set(bias);
    return (/** @type {number} */ x, /** @type {number} */ out) => this.#run(weightAt, x, pairs, biasAt, out, blocks);
  }

  /** Make room for `count` inputs or outputs, zeros, and return where. @param {number} count */
  vector(count) {
    return this.#reserve(4 * (count + TOGETHER));
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
