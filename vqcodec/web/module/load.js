/** The bundled model from the folder that `vqcodec page` writes, fetched once and cached where the browser may. */

import { Model } from "./codec.js";
import { ModelError } from "./errors.js";

/** Where the folder is: this module lies in it. */
export const FOLDER = new URL("../", import.meta.url).href;
const CACHE = "vqcodec-model";
/** @type {Map<string, Promise<Model>>} */
const LOADED = new Map();

/**
 * Load the model of a folder, once for each: `model/` with its files and `runtime/` with onnxruntime-web. Throws
 * ModelError where one is missing or damaged.
 * @param {{folder?: string, encoder?: boolean}} [options] encoder: to encode, too
 * @returns {Promise<Model>}
 */
export function loadModel({ folder = FOLDER, encoder = false } = {}) {
  const key = `${encoder} ${folder}`;
  const model = LOADED.get(key) ?? load(folder, encoder);
  LOADED.set(key, model);
  model.catch(() => LOADED.delete(key)); // the next one tries again
  return model;
}

/** @param {string} folder @param {boolean} isEncoder */
async function load(folder, isEncoder) {
  const names = /** @type {Record<string, string>} */ (JSON.parse(new TextDecoder().decode(await fetched(`${folder}model/model.json`))));
  const runtime = await import(`${folder}runtime/ort.wasm.bundle.min.mjs`).catch((error) => {
    throw new ModelError(`${folder}runtime: onnxruntime-web does not load (${error.message})`);
  });
  runtime.env.wasm.numThreads = 1; // more need headers that a plain server of files does not send
  runtime.env.logLevel = "error";
  const parts = ["weights", "decoder", ...(isEncoder ? ["encoder"] : [])];
  const files = await Promise.all(parts.map((part) => cached(`${folder}model/${names[part]}`, names.sha256)));
  return Model.load(runtime, /** @type {any} */ (Object.fromEntries(parts.map((part, index) => [part, files[index]]))));
}

/** What never changes for weights of one fingerprint. @param {string} address @param {string} version */
async function cached(address, version) {
  const key = `${address}?${version}`;
  const cache = globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const known = await cache?.match(key);
  if (known) return new Uint8Array(await known.arrayBuffer());
  const bytes = await fetched(address);
  for (const request of (await cache?.keys()) ?? [])
    if (request.url.startsWith(`${address}?`)) await cache?.delete(request); // of earlier weights
  await cache?.put(key, new Response(bytes)).catch(() => null); // no room: the next visit fetches it again
  return bytes;
}

/** Fetch the bytes of an address. Throws ModelError. @param {string} address */
async function fetched(address) {
  const answer = await fetch(address).catch((error) => {
    throw new ModelError(`${address}: ${error.message}`);
  });
  if (!answer.ok) throw new ModelError(`${address}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}
