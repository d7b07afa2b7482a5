/** Fewer codebooks for a .vqc that exists: its upper layers left out, the others copied byte for byte. */

import { joined, varint } from "./bytes.js";
import { Header } from "./header.js";
import { splitLayers } from "./payload.js";
import * as records from "./records.js";

/**
 * Return what `reader` holds with its first `numCodebooks` layers, of fixed width, entropy-coded or of varied depth; tags
 * are kept. Needs no model. Throws RangeError for a number of layers that the file does not have, and what
 * `VqcReader.records` throws: a damaged file cannot be thinned.
 * @param {import("./reader.js").VqcReader} reader @param {number} numCodebooks
 */
export function thin(reader, numCodebooks) {
  const { header } = reader;
  if (!(numCodebooks >= 1 && numCodebooks <= header.numCodebooks))
    throw new RangeError(`numCodebooks ${numCodebooks} is outside 1 to ${header.numCodebooks}`);
  // The reader's samples may have become known since: the header is that of the file.
  /** @type {Uint8Array[]} */
  const parts = [new Header({ ...header, numCodebooks }).toBytes()];
  for (const { head, body, position } of reader.records()) {
    if (!head || !body) continue; // without onDamage there is none
    parts.push(...(head.isSkippable ? records.parts(head, body, position) : thinned(head, body, position, { header, numCodebooks })));
  }
  return joined(parts);
}

/** @param {records.Head} head @param {Uint8Array} body @param {number} position @param {{header: Header, numCodebooks: number}} about */
function thinned(head, body, position, { header, numCodebooks }) {
  const end = body.subarray(0, head.isLast ? records.SAMPLES_BYTES : 0);
  const layers = splitLayers(body.subarray(end.length), head.coding, head.frames, header).slice(0, numCodebooks);
  const fixed = header.layerBytes(head.frames);
  let { coding } = head;
  if (coding === records.CODING_ENTROPY && layers.every(({ data }) => data.length === fixed)) coding = records.CODING_FIXED;
  const sizes = layers.map(({ data, coding: its }) => {
    if (coding === records.CODING_FIXED) return new Uint8Array();
    return varint(coding === records.CODING_DEPTHS ? 2 * data.length + Number(its === "model") : fixed - data.length);
  });
  const less = joined([end, ...sizes, ...layers.map(({ data }) => data)]);
  const size = coding === records.CODING_FIXED ? null : less.length;
  return records.parts(new records.Head(0x40 | (coding << 1) | Number(head.isLast), head.frames, size), less, position);
}
