/** ONNX files: facts that `vqcodec export` leaves in them, and their float16 tensors as float32. No runtime. */

import { joined, varint } from "./bytes.js";
import { ModelError } from "./errors.js";

/**
 * @typedef {object} Facts What the metadata of a graph says.
 * @property {string} part @property {string} weights the name of their file @property {string} sha256 of the weights
 * @property {number} delay_samples @property {number} decoder_context_frames @property {[number, number] | null} noise
 */
/** @typedef {{field: number, data: Uint8Array | null, whole: Uint8Array}} Field `data`: if it has a length; `whole`: with its key */

const METADATA_KEY = "vqcodec";
const WIDE_FILE = "float32";
// Fields of ONNX's messages, and values of one.
const [MODEL_GRAPH, MODEL_METADATA, GRAPH_NODE, GRAPH_INITIALIZER] = [7, 14, 1, 5];
const [NODE_INPUT, NODE_OUTPUT, NODE_KIND] = [1, 2, 4];
const [TENSOR_TYPE, TENSOR_NAME, TENSOR_EXTERNAL] = [2, 8, 13];
const [FLOAT32, FLOAT16] = [1, 10];

/**
 * Read the facts of a graph, which the runtime does not give. Throws ModelError where there are none.
 * @param {Uint8Array} graph @returns {Facts}
 */
export function graphFacts(graph) {
  for (const { field, data } of fields(graph)) {
    if (field !== MODEL_METADATA || !data) continue;
    const [key, value] = entry(data);
    if (key === METADATA_KEY) return JSON.parse(value);
  }
  throw new ModelError("the graph is none that vqcodec export wrote");
}

/**
 * Return a graph whose float16 tensors lie in the file `path`, as float32, and no longer in the weights: what was cast from
 * them is them, and nothing is cast.
 *
 * The runtime would make the same of them, in a function of 490 KB that casts any type to any, which browsers take 100 MB
 * and seconds of all cores to optimize.
 * @param {Uint8Array} graph @param {Uint8Array} weights @returns {{graph: Uint8Array, path: string, data: Uint8Array}}
 */
export function widened(graph, weights) {
  const wide = new Float32Array(Math.ceil(weights.length / 2)); // also for the encoder's; what is not written takes no memory
  let end = 0;
  /** @type {Map<string, string>} */
  const casts = new Map(); // what is made of a tensor, by its name
  /** @type {Set<string>} */
  const done = new Set();
  const note = (/** @type {Uint8Array} */ node) => {
    const its = texts(node);
    if (its.get(NODE_KIND) === "Cast") casts.set(its.get(NODE_INPUT) ?? "", its.get(NODE_OUTPUT) ?? "");
    return node;
  };
  const drop = (/** @type {Uint8Array} */ node) => (done.has(texts(node).get(NODE_INPUT) ?? "") ? null : node);
  const widen = (/** @type {Uint8Array} */ tensor) => {
    const all = [...fields(tensor)];
    const isOf = (/** @type {number} */ its) => (/** @type {Field} */ { field }) => field === its;
    const place = new Map(all.filter(isOf(TENSOR_EXTERNAL)).map(({ data }) => entry(data ?? new Uint8Array())));
    const name = texts(tensor).get(TENSOR_NAME) ?? "";
    const cast = casts.get(name);
    if (!place.size || !cast || all.find(isOf(TENSOR_TYPE))?.whole[1] !== FLOAT16) return tensor;
    const [offset, length] = ["offset", "length"].map((its) => Number(place.get(its)));
    if (!(offset + length <= weights.length && end + length / 2 <= wide.length))
      throw new ModelError("a tensor of the graph lies outside the weights");
    wide.set(floats(weights.subarray(offset, offset + length)), end);
    const places = { location: WIDE_FILE, offset: 4 * end, length: 2 * length };
    end += length / 2;
    done.add(name);
    const kept = all.filter(({ field }) => ![TENSOR_TYPE, TENSOR_NAME, TENSOR_EXTERNAL].includes(field)).map(({ whole }) => whole);
    const pairs = Object.entries(places).map((pair) => joined(pair.map((its, at) => lengthed(at + 1, bytesOf(`${its}`)))));
    const fresh = [Uint8Array.of(8 * TENSOR_TYPE, FLOAT32), lengthed(TENSOR_NAME, bytesOf(cast))];
    return joined([...kept, ...fresh, ...pairs.map((pair) => lengthed(TENSOR_EXTERNAL, pair))]);
  };
  const changed = replaced(graph, MODEL_GRAPH, (its) => {
    replaced(its, GRAPH_NODE, note);
    return replaced(replaced(its, GRAPH_INITIALIZER, widen), GRAPH_NODE, drop);
  });
  return { graph: changed, path: WIDE_FILE, data: new Uint8Array(wide.buffer, 0, 4 * end) };
}

/** A message with another content of a field; null: without it. @param {Uint8Array} data @param {number} which @param {(data: Uint8Array) => Uint8Array | null} change */
function replaced(data, which, change) {
  const parts = [...fields(data)].map((each) => {
    if (each.field !== which || !each.data) return each.whole;
    const its = change(each.data);
    return its ? lengthed(which, its) : new Uint8Array();
  });
  return joined(parts);
}

/** A field that has a length. @param {number} field below 16 @param {Uint8Array} data */
const lengthed = (field, data) => joined([Uint8Array.of(8 * field + 2), varint(data.length), data]);

/** Key and value of a StringStringEntryProto. @param {Uint8Array} data @returns {[string, string]} */
function entry(data) {
  const its = texts(data);
  return [its.get(1) ?? "", its.get(2) ?? ""];
}

/** The fields of a message as texts, of several the last. @param {Uint8Array} data */
function texts(data) {
  return new Map([...fields(data)].map((each) => [each.field, new TextDecoder().decode(each.data ?? new Uint8Array())]));
}

/** @param {string} text */
const bytesOf = (text) => new TextEncoder().encode(text);

/** @type {Float32Array | null} the value of each float16 */
let values = null;

/** @param {Uint8Array} halves little-endian float16 */
function floats(halves) {
  values ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
    const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
    const special = mantissa ? NaN : Infinity;
    const normal = exponent === 31 ? special : (1 + mantissa / 1024) * 2 ** (exponent - 15);
    return (bits >> 15 ? -1 : 1) * (exponent ? normal : mantissa * 2 ** -24);
  });
  const wide = new Float32Array(halves.length / 2);
  for (let at = 0; at < wide.length; at++) wide[at] = values[halves[2 * at] | (halves[2 * at + 1] << 8)];
  return wide;
}

/** Yield the fields of a message. @param {Uint8Array} data @returns {Generator<Field>} */
function* fields(data) {
  let at = 0;
  const number = () => {
    let [value, scale, byte] = [0, 1, 0];
    do {
      if (at >= data.length) throw new ModelError("the graph is cut");
      byte = data[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte & 0x80);
    return value;
  };
  while (at < data.length) {
    const start = at;
    const key = number();
    const kind = key % 8;
    let length = 0;
    if (kind === 0) number();
    else if (kind === 1 || kind === 5) length = kind === 1 ? 8 : 4;
    else if (kind === 2) length = number();
    else throw new ModelError("the graph is no ONNX file");
    if (at + length > data.length) throw new ModelError("the graph is cut");
    const body = kind === 2 ? data.subarray(at, at + length) : null;
    at += length;
    yield { field: Math.floor(key / 8), data: body, whole: data.subarray(start, at) };
  }
}
