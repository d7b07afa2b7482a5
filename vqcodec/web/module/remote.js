/** Files, decoding and encoding in a worker: what a page asks, and what comes back. */

import * as errors from "./errors.js";

/** @typedef {import("./worker.js").Damage} Damage */
/** @typedef {import("./header.js").Header} Header */
/**
 * @typedef {object} Opened What the beginning of a file tells.
 * @property {number} file its number @property {Header} header its fields @property {number | null} samples
 * @property {Map<string, string>} tags @property {number} decodedChannels
 */
/** @typedef {{bytes: Uint8Array, samples: number, damage: Damage[]}} Whole What all of a file tells. */

/** Where the folder that `vqcodec page` wrote is: this module lies in it. */
export const FOLDER = new URL("../", import.meta.url).href;
/** @type {Map<string, Remote>} */
const REMOTES = new Map();

/** The worker of a folder, one for all players. @param {string} folder */
export function remoteOf(folder) {
  const remote = REMOTES.get(folder) ?? new Remote(folder);
  REMOTES.set(folder, remote);
  return remote;
}

/** A worker. Its methods reject with the errors of this module. */
export class Remote {
  /** @param {string} folder where the model and the runtime are */
  constructor(folder) {
    this.folder = folder;
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = (event) => {
      this.#broken = new errors.VqcError(`the worker does not run: ${event.message ?? "its module does not load"}`);
      for (const { reject } of this.#calls.values()) reject(this.#broken);
      this.#calls.clear();
    };
  }

  #worker;
  #last = 0;
  /** @type {Error | null} */
  #broken = null;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void, onTold: (told: any) => void}>} */
  #calls = new Map();

  /** Load the model, so that what follows starts at once. @returns {Promise<{name: string, sampleRateHz: number}>} */
  load(encoder = false) {
    return this.#call("load", [{ folder: this.folder, encoder }]);
  }

  /**
   * Open a file, by its bytes or its address. `onBeginning` is told when it can be played, while the rest comes.
   * @param {Uint8Array | string} source @param {(opened: Opened) => void} onBeginning @returns {Promise<Whole>}
   */
  open(source, onBeginning) {
    return this.#call("open", [source], { onTold: onBeginning });
  }

  /** Forget a file. @param {number} file */
  close(file) {
    void this.#call("close", [file]);
  }

  /**
   * Give waves [C][m] of a file from a sample on, at the model's rate, as they are asked for. `return` ends it at once.
   * @param {number} file @param {{startSample?: number, numCodebooks: number}} options
   * @returns {AsyncIterableIterator<Float32Array[]>}
   */
  decode(file, { startSample = 0, numCodebooks }) {
    /** @type {Promise<number>} */
    const stream = this.#call("decode", [file, { folder: this.folder, startSample, numCodebooks }]);
    const over = { done: /** @type {const} */ (true), value: undefined };
    return {
      next: async () => {
        const value = await this.#call("next", [await stream]);
        return value ? { done: false, value } : over;
      },
      return: async () => {
        stream.then((number) => this.#call("end", [number])).catch(() => {}); // one that never began has no end
        return over;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Encode waves [C][T] at the model's rate, which move to the worker.
   * @param {Float32Array[]} waves @param {{tags?: Record<string, string>, onProgress?: (share: number) => void}} [options]
   * @returns {Promise<Uint8Array>}
   */
  encode(waves, { tags = {}, onProgress = () => {} } = {}) {
    const transfer = [...new Set(waves.map((wave) => wave.buffer))];
    return this.#call("encode", [waves, { folder: this.folder, tags }], { onTold: onProgress, transfer });
  }

  /** Return a file with fewer codebooks. @param {number} file @param {number} numCodebooks @returns {Promise<Uint8Array>} */
  thin(file, numCodebooks) {
    return this.#call("thin", [file, numCodebooks]);
  }

  /** @param {string} name @param {any[]} parameters @param {{onTold?: (told: any) => void, transfer?: any[]}} [options] */
  #call(name, parameters, { onTold = () => {}, transfer = [] } = {}) {
    if (this.#broken) return Promise.reject(this.#broken);
    const id = ++this.#last;
    this.#worker.postMessage({ id, name, parameters }, transfer);
    return /** @type {Promise<any>} */ (new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject, onTold })));
  }

  /** @param {{id: number, value?: any, told?: any, error?: {name: string, message: string}}} answer */
  #take(answer) {
    const call = this.#calls.get(answer.id);
    if ("told" in answer) return call?.onTold(answer.told);
    this.#calls.delete(answer.id);
    if (!answer.error) return call?.resolve(answer.value);
    const { name, message, ...rest } = answer.error;
    const kind = /** @type {Record<string, typeof errors.VqcError>} */ (errors)[name];
    call?.reject(Object.assign(kind ? new kind(message) : new Error(message), rest));
  }
}
