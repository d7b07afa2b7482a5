/** The worker in which files are read, decoded and encoded, so that the page never waits; remote.js asks it. */

import { openArriving } from "./arriving.js";
import { decodeFile } from "./codec.js";
import { compress } from "./compress.js";
import { VqcError } from "./errors.js";
import { loadModel } from "./load.js";
import { thin } from "./thin.js";

/** @typedef {import("./reader.js").VqcReader} VqcReader */
/** @typedef {(value: unknown) => void} Tell */
/** @typedef {{message: string, startSeconds: number | null, endSeconds: number | null}} Damage */

/** @type {Map<number, VqcReader>} */
const readers = new Map();
/** @type {Map<number, {waves: AsyncGenerator<Float32Array[]>, ending: AbortController}>} */
const streams = new Map();
let last = 0;

const services = {
  /** Load the model, so that what follows starts at once; returns facts of it. */
  async load(/** @type {Tell} */ _tell, /** @type {{folder?: string, encoder?: boolean}} */ options) {
    const { name, sampleRateHz } = await loadModel(options);
    return { name, sampleRateHz };
  },

  /** Open the bytes of a file, or one at an address: tells what it is when its beginning has come; returns the rest. */
  async open(/** @type {Tell} */ tell, /** @type {Uint8Array | string} */ source) {
    const stream = typeof source === "string" ? await fetched(source) : /** @type {any} */ (new Blob([/** @type {any} */ (source)])).stream();
    const { reader, whole } = await openArriving(stream);
    const file = ++last;
    readers.set(file, reader);
    const { header, samples, tags, decodedChannels } = reader;
    tell({ file, header: { ...header }, samples, tags, decodedChannels });
    const broken = await whole.then(() => "", (error) => error.message);
    /** @type {Damage[]} */
    const damage = [];
    const note = (/** @type {any} */ { message, startSeconds = null, endSeconds = null }) => damage.push({ message, startSeconds, endSeconds });
    for (const record of reader.recordsInTurns(note)) if (!record) await reader.rest(); // scan would not look at the checksums
    if (broken) damage.push({ message: `the file has not come to its end: ${broken}`, startSeconds: null, endSeconds: null });
    return { bytes: reader.file.slice(), samples: reader.samples, damage };
  },

  close(/** @type {Tell} */ _tell, /** @type {number} */ file) {
    readers.delete(file);
  },

  /** Begin to decode a file from a sample on; returns the number that `next` and `end` take. */
  async decode(
    /** @type {Tell} */ _tell,
    /** @type {number} */ file,
    /** @type {{folder: string, startSample: number, numCodebooks: number}} */ { folder, startSample, numCodebooks },
  ) {
    const reader = found(file);
    const model = await loadModel({ folder });
    model.check(reader.header);
    const ending = new AbortController();
    streams.set(++last, { waves: from(reader, model, { startSample, numCodebooks, signal: ending.signal }), ending });
    return last;
  },

  /** Return the next waves of a stream; null at its end. */
  async next(/** @type {Tell} */ _tell, /** @type {number} */ stream) {
    const next = await streams.get(stream)?.waves.next();
    if (!next || next.done) return services.end(_tell, stream);
    // What is sent is all of its buffer, which moves.
    return next.value.map((wave) => (wave.byteLength === wave.buffer.byteLength ? wave : wave.slice()));
  },

  /** End a stream, also one that waits for bytes or unpacks a long chunk. */
  end(/** @type {Tell} */ _tell, /** @type {number} */ stream) {
    streams.get(stream)?.ending.abort();
    streams.delete(stream);
    return null;
  },

  /** Encode waves; tells the share that is done. */
  async encode(
    /** @type {Tell} */ tell,
    /** @type {Float32Array[]} */ waves,
    /** @type {{folder: string, tags: Record<string, string>}} */ { folder, tags },
  ) {
    return compress(waves, await loadModel({ folder, encoder: true }), { tags, onProgress: tell });
  },

  /** Return the bytes of a file with fewer codebooks. */
  thin(/** @type {Tell} */ _tell, /** @type {number} */ file, /** @type {number} */ numCodebooks) {
    return thin(found(file), numCodebooks);
  },
};

/** @param {number} file */
function found(file) {
  const reader = readers.get(file);
  if (!reader) throw new VqcError("the file is closed");
  return reader;
}

/** @param {string} address @returns {Promise<ReadableStream<Uint8Array>>} */
async function fetched(address) {
  const answer = await fetch(address).catch((error) => {
    throw new VqcError(`${address}: ${error.message}`);
  });
  if (!answer.ok || !answer.body) throw new VqcError(`${address}: ${answer.status} ${answer.statusText}`);
  return answer.body;
}

/**
 * Decode a file from a sample on.
 * @param {VqcReader} reader @param {import("./model.js").Model} model
 * @param {{startSample: number, numCodebooks: number, signal: AbortSignal}} options
 */
async function* from(reader, model, { startSample, ...options }) {
  const startFrame = Math.floor(startSample / model.hopLength);
  let early = startSample - startFrame * model.hopLength;
  for await (const waves of decodeFile(reader, model, { startFrame, onDamage: () => {}, ...options })) {
    const skipped = Math.min(early, waves[0].length);
    early -= skipped;
    if (skipped < waves[0].length) yield waves.map((wave) => wave.subarray(skipped));
  }
}

/** @param {MessageEvent<{id: number, name: keyof typeof services, parameters: any[]}>} event */
globalThis.onmessage = async ({ data: { id, name, parameters } }) => {
  try {
    const tell = (/** @type {unknown} */ told) => postMessage({ id, told });
    const value = await /** @type {any} */ (services[name])(tell, ...parameters);
    postMessage({ id, value }, { transfer: buffers(value) });
  } catch (error) {
    const { name: kind, message, ...rest } = /** @type {Error} */ (error);
    postMessage({ id, error: { ...rest, name: kind, message } });
  }
};

/** What moves instead of being copied. @param {any} value @returns {ArrayBuffer[]} */
function buffers(value) {
  const arrays = [value, value?.bytes, ...(Array.isArray(value) ? value : [])].filter(ArrayBuffer.isView);
  return /** @type {ArrayBuffer[]} */ (arrays.map((array) => array.buffer));
}
