/**
 * The context model of entropy-coded layers: how likely each code is, from integers alone.
 *
 * A layer's network looks at codes that the decoder has already: its own past for the first codebook, the codebooks
 * below, on both sides in time, for every other. That no sum of absolute products exceeds 2 ** 30 - 1 is checked once,
 * of every row, with the largest inputs that there can be; so all arithmetic fits into 32 bits, in any order.
 */

import { Affines } from "./affine.js";
import { ModelError } from "./errors.js";
import { integers } from "./safetensors.js";

const HIDDEN_MAX = 255;
const NARROW_MAX = 127;
const SUM_MAX = 2 ** 30 - 1;
const MAX_WEIGHT = 2 ** 24;

/** (weight @ x + bias) >> shift: weight [outputs, inputs], bias and shift [outputs]. */
class Affine {
  /** @param {Map<string, import("./safetensors.js").Tensor>} tensors @param {string} name @param {number} inputs */
  constructor(tensors, name, inputs) {
    const weight = integers(tensors, `${name}.weight`, "I8", 2);
    this.bias = integers(tensors, `${name}.bias`, "I32", 1).values;
    this.shift = integers(tensors, `${name}.shift`, "I32", 1).values;
    this.inputs = inputs;
    this.outputs = this.bias.length;
    if (weight.shape[0] !== this.outputs || weight.shape[1] !== inputs || this.shift.length !== this.outputs)
      throw new ModelError(`${name} has the wrong shape`);
    if (!this.outputs || this.shift.some((shift) => shift < 0 || shift > 31))
      throw new ModelError(`${name} has no outputs, or shifts outside 0 to 31`);
    this.weight = weight.values;
  }

  /** Make what computes it but for the shift, of inputs and outputs in the memory of `affines`. @param {Affines} affines */
  compiled(affines) {
    return { sums: affines.add(this.weight, this.bias), shift: this.shift };
  }

  /** Throw ModelError if a sum could exceed what is allowed. @param {ArrayLike<number>} largest inputs */
  check(largest) {
    for (let output = 0; output < this.outputs; output++) {
      let sum = Math.abs(this.bias[output]);
      for (let input = 0; input < this.inputs; input++)
        sum += Math.abs(this.weight[output * this.inputs + input]) * largest[input];
      if (sum > SUM_MAX) throw new ModelError("the entropy model has sums over 2 ** 30");
    }
  }
}

/** Weights of the next code, for the first `numLayers` codebooks of a model. Throws ModelError for tensors of none. */
export class EntropyModel {
  /** @param {Map<string, import("./safetensors.js").Tensor>} tensors of the weights file, under "entropy." */
  constructor(tensors) {
    const embedding = integers(tensors, "entropy.embedding", "I8", 3);
    this.numLayers = embedding.shape[0];
    this.codebookSize = embedding.shape[1];
    this.dim = embedding.shape[2];
    this.embedding = embedding.values;
    this.decay = integers(tensors, "entropy.decay", "I32", 1).values;
    if (!this.decay.length || this.decay.some((weight) => weight < 1 || weight > MAX_WEIGHT))
      throw new ModelError("the entropy model's decay has weights outside 1 to 2 ** 24");
    const layers = Array.from({ length: this.numLayers }, (_, index) => this.#layer(tensors, index));
    const affines = new Affines();
    const most = (/** @type {number[]} */ counts) => affines.vector(Math.max(...counts));
    // One of each for all layers: contexts, outputs of the first two as inputs of the next, outputs.
    const [x, h, g] = [
      most(layers.map((layer) => layer.hidden.inputs)),
      most(layers.map((layer) => layer.hidden.outputs)),
      most(layers.map((layer) => layer.narrow.outputs)),
    ];
    const out = most(layers.flatMap((layer) => [layer.hidden.outputs, layer.narrow.outputs, layer.levels.outputs]));
    this.layers = layers.map(({ lags, hidden, narrow, levels }) => ({
      ...{ lags, inputs: hidden.inputs },
      ...{ hidden: hidden.compiled(affines), narrow: narrow.compiled(affines), levels: levels.compiled(affines) },
    }));
    this.places = { x, h, g, out };
    this.affines = affines;
    this.ends = new Float64Array(this.codebookSize);
  }

  /**
   * Make what gives the weights of one channel's codes in layer `index`, of `frames` frames. `rows`: the codes of the
   * layers below [index, frames], or of the first layer itself, as they become known; -1 where there is none.
   * @param {number} index @param {Int32Array} rows @param {number} frames
   * @returns {(frame: number) => Float64Array} of a frame the running sum of the weights, valid until the next call
   */
  channel(index, rows, frames) {
    const layer = this.layers[index];
    const { dim, affines, places } = this;
    const summed = index ? this.#summed(rows, index, frames) : null;
    const x = affines.inputs(places.x, layer.inputs);
    return (frame) => {
      affines.inputs(places.x, layer.inputs + 1).fill(0); // also what makes pairs of an odd number
      layer.lags.forEach((lag, which) => {
        const at = frame + lag;
        if (at < 0 || at >= frames) return;
        if (summed) x.set(summed.subarray(at * dim, (at + 1) * dim), which * dim);
        else if (rows[at] >= 0) x.set(this.embedding.subarray(rows[at] * dim, (rows[at] + 1) * dim), which * dim);
      });
      layer.hidden.sums(places.x, places.out);
      this.#clip(places.h, layer.hidden.shift, 0, HIDDEN_MAX);
      layer.narrow.sums(places.h, places.out);
      this.#clip(places.g, layer.narrow.shift, -NARROW_MAX, NARROW_MAX);
      layer.levels.sums(places.g, places.out);
      return this.#runningSum(layer.levels.shift);
    };
  }

  /**
   * Tell of each of the first `depth` layers how many frames all of them need to have frames 0 to `until`.
   * @param {number} depth @param {number} until
   */
  framesNeeded(depth, until) {
    const needed = new Array(depth).fill(until);
    for (let index = depth - 1; index > 0; index--) {
      const below = needed[index] + Math.max(0, ...this.layers[index].lags);
      for (let lower = 0; lower < index; lower++) needed[lower] = Math.max(needed[lower], below);
    }
    return needed;
  }

  /** The sums of the embeddings of the layers below [frames, dim]. @param {Int32Array} rows */
  #summed(rows, /** @type {number} */ layers, /** @type {number} */ frames) {
    const { dim, embedding, codebookSize } = this;
    const summed = new Int32Array(frames * dim);
    for (let layer = 0; layer < layers; layer++)
      for (let frame = 0; frame < frames; frame++) {
        const code = rows[layer * frames + frame];
        if (code < 0) continue;
        const from = (layer * codebookSize + code) * dim;
        for (let d = 0; d < dim; d++) summed[frame * dim + d] += embedding[from + d];
      }
    return summed;
  }

  /** Hand sums on as inputs, shifted, between two bounds, and a zero behind them. */
  #clip(/** @type {number} */ to, /** @type {Int32Array} */ shift, /** @type {number} */ low, /** @type {number} */ high) {
    const from = this.affines.outputs(this.places.out, shift.length);
    const into = this.affines.inputs(to, shift.length + 1);
    into[shift.length] = 0;
    for (let index = 0; index < shift.length; index++) into[index] = Math.min(Math.max(from[index] >> shift[index], low), high);
  }

  /** The running sum of decay[min(max(y) - y[s], n - 1)], below 2 ** 40; y: sums, shifted. @param {Int32Array} shift */
  #runningSum(shift) {
    const { ends, decay } = this;
    const levels = this.affines.outputs(this.places.out, this.codebookSize);
    const last = decay.length - 1;
    let most = -(2 ** 31);
    for (let code = 0; code < levels.length; code++) {
      const level = levels[code] >> shift[code];
      levels[code] = level;
      if (level > most) most = level;
    }
    let sum = 0;
    for (let code = 0; code < levels.length; code++) ends[code] = sum += decay[Math.min(most - levels[code], last)];
    return ends;
  }

  /** @param {Map<string, import("./safetensors.js").Tensor>} tensors @param {number} index */
  #layer(tensors, index) {
    const lags = [...integers(tensors, `entropy.${index}.lags`, "I32", 1).values];
    if (index === 0 && lags.some((lag) => lag >= 0))
      throw new ModelError("the entropy model's first layer looks at codes that are not decoded yet");
    const bound = this.#largest(Math.max(1, index));
    const hidden = new Affine(tensors, `entropy.${index}.hidden`, lags.length * this.dim);
    hidden.check(Array.from({ length: hidden.inputs }, (_, input) => bound[input % this.dim]));
    const narrow = new Affine(tensors, `entropy.${index}.narrow`, hidden.outputs);
    narrow.check(new Array(narrow.inputs).fill(HIDDEN_MAX));
    const levels = new Affine(tensors, `entropy.${index}.levels`, narrow.outputs);
    levels.check(new Array(levels.inputs).fill(HIDDEN_MAX));
    if (levels.outputs !== this.codebookSize)
      throw new ModelError(`the entropy model's layer ${index} has ${levels.outputs} codes, not ${this.codebookSize}`);
    return { lags, hidden, narrow, levels };
  }

  /** The most that each element of a sum of embeddings of the first layers can be, [dim]. @param {number} layers */
  #largest(layers) {
    const { dim, codebookSize, embedding } = this;
    const bound = new Array(dim).fill(0);
    for (let layer = 0; layer < layers; layer++)
      for (let d = 0; d < dim; d++) {
        let most = 0;
        for (let code = 0; code < codebookSize; code++)
          most = Math.max(most, Math.abs(embedding[(layer * codebookSize + code) * dim + d]));
        bound[d] += most;
      }
    return bound;
  }
}
