/** A model whose graphs run on onnxruntime-web, and a graph with what it remembers of a stream. */

import { EntropyModel } from "./entropy.js";
import { ModelError } from "./errors.js";
import { graphFacts, widened } from "./onnx.js";
import { readSafetensors } from "./safetensors.js";

/** @typedef {typeof import("onnxruntime-web")} Runtime */
/** @typedef {import("onnxruntime-web").Tensor} Tensor */
/** @typedef {import("onnxruntime-web").InferenceSession} Session */

const CONFIG_KEY = "vqcodec-weights-1";

/** A loaded model. Make one by `load`. */
export class Model {
  /**
   * Load a model from the bytes of its files: `weights` safetensors, `decoder` and, to encode, `encoder` graphs as
   * `vqcodec export --onnx` writes them. `runtime`: the module onnxruntime-web. Throws ModelError for files that are
   * damaged or not of each other.
   * @param {Runtime} runtime @param {{weights: Uint8Array, decoder: Uint8Array, encoder?: Uint8Array}} files
   */
  static async load(runtime, { weights, decoder, encoder }) {
    const { tensors, metadata } = readSafetensors(weights);
    const facts = graphFacts(decoder);
    if (!metadata[CONFIG_KEY]) throw new ModelError("the weights are no weights file of vqcodec");
    // Browsers offer digests to pages of https and of this machine only; elsewhere nothing can be compared.
    if (globalThis.crypto?.subtle && (await sha256(weights)) !== facts.sha256)
      throw new ModelError("the weights are damaged, or not those of the decoder's graph");
    const entropy = tensors.has("entropy.decay") ? new EntropyModel(tensors) : null;
    const sessions = { decoder: await session(runtime, decoder, { facts, weights }), encoder: null };
    const model = new Model(runtime, sessions, { facts, entropy, config: JSON.parse(metadata[CONFIG_KEY]) });
    if (encoder) await model.addEncoder(encoder, weights);
    return model;
  }

  /**
   * @param {Runtime} runtime
   * @param {{decoder: Session, encoder: Session | null}} sessions
   * @param {{facts: import("./onnx.js").Facts, entropy: EntropyModel | null, config: Record<string, any>}} about
   */
  constructor(runtime, sessions, { facts, entropy, config }) {
    this.runtime = runtime;
    this.sessions = sessions;
    this.facts = facts;
    this.entropy = entropy;
    this.name = String(config.name);
    this.sampleRateHz = Number(config.sample_rate_hz);
    this.hopLength = Number(config.hop_length);
    this.totalCodebooks = Number(config.total_codebooks);
    this.codebookSize = Number(config.codebook_size);
    this.delaySamples = facts.delay_samples;
    this.contextFrames = facts.decoder_context_frames;
    this.noise = facts.noise;
    this.fingerprint = Uint8Array.from({ length: 4 }, (_, at) => parseInt(facts.sha256.slice(2 * at, 2 * at + 2), 16));
  }

  /**
   * Let the model encode, too. Throws ModelError for a graph of other weights.
   * @param {Uint8Array} encoder @param {Uint8Array} weights
   */
  async addEncoder(encoder, weights) {
    if (graphFacts(encoder).sha256 !== this.facts.sha256)
      throw new ModelError("the encoder's graph is not of the decoder's weights");
    this.sessions.encoder = await session(this.runtime, encoder, { facts: this.facts, weights });
  }

  /** Throw ModelError unless this model wrote a file. @param {import("./header.js").Header} header */
  check(header) {
    const hex = (/** @type {Uint8Array} */ bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex(header.fingerprint) !== hex(this.fingerprint))
      throw new ModelError(
        `this .vqc was written by the model ${hex(header.fingerprint)}, here is ${this.name} (${hex(this.fingerprint)})`,
      );
    const isLike = header.sampleRateHz === this.sampleRateHz && header.hopLength === this.hopLength;
    if (!isLike || header.codebookSize !== this.codebookSize || header.numCodebooks > this.totalCodebooks)
      throw new ModelError(`this .vqc has another rate, frame or codebooks than ${this.name}`);
  }
}

/** A graph and what its layers remember of a stream. */
export class Graph {
  /** @param {Runtime} runtime @param {Session} session @param {number} batch */
  constructor(runtime, session, batch) {
    this.runtime = runtime;
    this.session = session;
    this.batch = batch;
    /** @type {Tensor[] | null} */
    this.pasts = null;
  }

  /** Begin anew, from zeros. */
  zeros() {
    this.pasts = this.session.inputMetadata.filter(({ name }) => isPast(name)).map((input) => {
      const shape = /** @type {any} */ (input).shape.map((/** @type {unknown} */ extent) => Number(extent));
      shape[0] = this.batch;
      const count = shape.reduce((/** @type {number} */ product, /** @type {number} */ extent) => product * extent, 1);
      return new this.runtime.Tensor("float32", new Float32Array(count), shape);
    });
    return this.pasts;
  }

  /** Compute the next block. @param {Tensor} first @param {Record<string, Tensor>} [more] inputs by name */
  async run(first, more = {}) {
    const pasts = this.pasts ?? this.zeros();
    const names = this.session.inputNames.filter(isPast);
    const state = Object.fromEntries(names.map((past, index) => [past, pasts[index]]));
    const feeds = { [this.session.inputNames[0]]: first, ...more, ...state };
    const outputs = await this.session.run(feeds);
    for (const past of pasts) release(/** @type {Float32Array} */ (past.data));
    const [out, ...rest] = this.session.outputNames.map((output) => outputs[output]);
    this.pasts = rest;
    return out;
  }
}

const isPast = (/** @type {string} */ name) => name.startsWith("past.");

/** @param {Runtime} runtime @param {Uint8Array} graph @param {{facts: import("./onnx.js").Facts, weights: Uint8Array}} of */
async function session(runtime, graph, { facts, weights }) {
  const { graph: changed, path, data } = widened(graph, weights);
  const externalData = [{ path, data }, { path: facts.weights, data: weights }]; // the latter has tensors of other types
  return runtime.InferenceSession.create(changed, { externalData }).finally(() => release(data));
}

/** Give memory back at once, where the browser can; it lies about for minutes otherwise. @param {Uint8Array | Float32Array} array */
export function release(array) {
  /** @type {any} */ (array.buffer).transfer?.(0);
}

/** @param {Uint8Array} data */
async function sha256(data) {
  const digest = await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (data));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
