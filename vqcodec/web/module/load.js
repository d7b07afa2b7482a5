/** The bundled model from the folder that `vqcodec page` writes, fetched once and cached where the browser may. */

import { decodeFile } from "./codec.js";
import { headerOf } from "./compress.js";
import { ModelError } from "./errors.js";
import { Model, release } from "./model.js";
import { VqcReader } from "./reader.js";
import { FOLDER } from "./remote.js";
import { writeVqc } from "./writer.js";

const CACHE = "vqcodec-model";
const WARM_FRAMES = 8; // as many as a file is unpacked for first
/** @type {Map<string, Promise<Model>>} */
const DECODERS = new Map();
/** @type {Map<string, Promise<Model>>} */
const ENCODERS = new Map();

/**
 * Load the model of a folder, once for each: `model/` with its files and `runtime/` with onnxruntime-web. Throws
 * ModelError where one is missing or damaged.
 * @param {{folder?: string, encoder?: boolean}} [options] encoder: to encode, too
 * @returns {Promise<Model>}
 */
export function loadModel({ folder = FOLDER, encoder = false } = {}) {
  const decoding = once(DECODERS, folder, () => load(folder));
  return encoder ? once(ENCODERS, folder, async () => withEncoder(await decoding, folder)) : decoding;
}

/** @param {Map<string, Promise<Model>>} known @param {string} key @param {() => Promise<Model>} make */
function once(known, key, make) {
  const model = known.get(key) ?? make();
  known.set(key, model);
  model.catch(() => known.delete(key)); // the next one tries again
  return model;
}

/** @param {string} folder */
async function load(folder) {
  const runtime = import(`${folder}runtime/ort.wasm.bundle.min.mjs`).catch((error) => {
    throw new ModelError(`${folder}runtime: onnxruntime-web does not load (${error.message})`);
  });
  const [ort, { weights, decoder }] = await Promise.all([runtime, filesOf(folder, ["weights", "decoder"])]);
  ort.env.wasm.numThreads = 1; // more need headers that a plain server of files does not send
  ort.env.logLevel = "error";
  const model = await Model.load(ort, { weights, decoder });
  release(weights);
  await warmUp(model);
  return model;
}

/** Decode a little, so that the browser has compiled what the first sound needs. @param {Model} model */
async function warmUp(model) {
  const header = headerOf(model, { channels: 1, samples: WARM_FRAMES * model.hopLength });
  const codes = new Int32Array(WARM_FRAMES * model.totalCodebooks);
  const file = new VqcReader(writeVqc(header, codes, { entropy: model.entropy }));
  for await (const _ of decodeFile(file, model));
}

/** @param {Model} model @param {string} folder */
async function withEncoder(model, folder) {
  const { weights, encoder } = await filesOf(folder, ["weights", "encoder"]);
  await model.addEncoder(encoder, weights);
  release(weights);
  return model;
}

/** The bytes of files of the model, by what they are. @param {string} folder @param {string[]} parts */
async function filesOf(folder, parts) {
  /** @type {Record<string, string>} */
  let names;
  try {
    names = await (await answered(`${folder}model/model.json`)).json();
  } catch (error) {
    throw error instanceof ModelError ? error : new ModelError(`${folder}model/model.json is no JSON`);
  }
  const files = await Promise.all(parts.map((part) => cached(`${folder}model/${names[part]}`, names.sha256)));
  return Object.fromEntries(parts.map((part, index) => [part, files[index]]));
}

/** What never changes for weights of one fingerprint. @param {string} address @param {string} version */
async function cached(address, version) {
  const key = `${address}?${version}`;
  const cache = globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const known = (await cache?.match(key)) ?? (cache && (await put(cache, key, address)));
  return new Uint8Array(await (known ?? (await answered(address))).arrayBuffer());
}

/**
 * Fetch into the cache, so that memory never holds the bytes twice. Nothing: there is no room, and the next visit tries again.
 * @param {Cache} cache @param {string} key @param {string} address
 */
async function put(cache, key, address) {
  for (const request of await cache.keys())
    if (request.url.startsWith(`${address}?`)) await cache.delete(request); // of earlier weights
  const answer = await answered(address);
  return cache.put(key, answer).then(() => cache.match(key), () => undefined);
}

/** Fetch an address. Throws ModelError. @param {string} address */
async function answered(address) {
  const answer = await fetch(address).catch((error) => {
    throw new ModelError(`${address}: ${error.message}`);
  });
  if (!answer.ok) throw new ModelError(`${address}: ${answer.status} ${answer.statusText}`);
  return answer;
}
