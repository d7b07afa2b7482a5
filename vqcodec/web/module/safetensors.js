/** Tensors of a weights file: safetensors, read without a copy. */

import { ModelError } from "./errors.js";

/** @typedef {{dtype: string, shape: number[], data: Uint8Array}} Tensor */

/**
 * Read the head of a weights file. Throws ModelError for what is none.
 * @param {Uint8Array} file @returns {{tensors: Map<string, Tensor>, metadata: Record<string, string>}}
 */
export function readSafetensors(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const length = file.length < 8 ? Infinity : Number(view.getBigUint64(0, true));
  if (8 + length > file.length) throw new ModelError("the weights are no safetensors file, or cut");
  const tensors = new Map();
  let head;
  try {
    head = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  } catch {
    throw new ModelError("the weights are no safetensors file: their head is no JSON");
  }
  for (const [name, entry] of Object.entries(head)) {
    if (name === "__metadata__") continue;
    const [first, last] = entry.data_offsets;
    const data = file.subarray(8 + length + first, 8 + length + last);
    if (data.length !== last - first) throw new ModelError("the weights are cut");
    tensors.set(name, { dtype: entry.dtype, shape: entry.shape, data });
  }
  return { tensors, metadata: head.__metadata__ ?? {} };
}

/**
 * Return a tensor of integers, int8 or int32. Throws ModelError where it is missing or another.
 * @template {"I8" | "I32"} T
 * @param {Map<string, Tensor>} tensors @param {string} name @param {T} dtype @param {number} dimensions
 * @returns {{shape: number[], values: T extends "I8" ? Int8Array : Int32Array}}
 */
export function integers(tensors, name, dtype, dimensions) {
  const tensor = tensors.get(name);
  const size = dtype === "I8" ? 1 : 4;
  const count = tensor?.shape.reduce((product, extent) => product * extent, size);
  if (!tensor || tensor.dtype !== dtype || tensor.shape.length !== dimensions || count !== tensor.data.length)
    throw new ModelError(`the entropy model lacks ${name} as ${dtype} with ${dimensions} dimension(s)`);
  const copy = tensor.data.slice(); // so that it begins where an int32 may
  const values = dtype === "I8" ? new Int8Array(copy.buffer) : new Int32Array(copy.buffer);
  return /** @type {any} */ ({ shape: tensor.shape, values });
}
