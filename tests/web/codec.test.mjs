/** Decoder and Encoder against the package's onnx engine; test_module.py writes CASES and runs this. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import * as runtime from "../../web/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { Decoder, Encoder, Model, ModelError, VqcReader, decodeFile } from "../../vqcodec/web/module/vqcodec.js";
import { widened } from "../../vqcodec/web/module/onnx.js";

const CASES = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const CLOSE = 1e-3; // sums of float32 in another order; a sample has an amplitude near 0.1
runtime.env.wasm.numThreads = 1;

const read = (path) => new Uint8Array(readFileSync(path));
const graph = (part) => read(CASES.weights.replace(/safetensors$/, `${part}.onnx`));
const floats = (path) => new Float32Array(read(path).buffer);
const files = { weights: read(CASES.weights), decoder: graph("decoder"), encoder: graph("encoder") };
const model = await Model.load(runtime, files);

async function decoded(path, options) {
  const parts = [];
  for await (const waves of decodeFile(new VqcReader(read(path)), model, options)) parts.push(waves);
  return parts[0].map((_, channel) => Float32Array.from(parts.flatMap((waves) => [...waves[channel]])));
}

function assertClose(found, expected) {
  assert.equal(found.length, expected.length);
  const furthest = found.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at])), 0);
  assert.ok(furthest < CLOSE, `${furthest} apart`);
  assert.ok(expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0) > 50 * CLOSE);
}

for (const { name, path, wave, channels, options } of CASES.waves)
  test(`${name} sounds as the package decodes it`, async () => {
    const expected = floats(wave);
    const damage = [];
    const found = await decoded(path, { ...options, onDamage: (error) => damage.push(error) });
    assert.equal(found.length, channels);
    found.forEach((each, channel) => assertClose(each, expected.subarray(channel * each.length, (channel + 1) * each.length)));
    assert.equal(damage.length, name === "damaged" ? 1 : 0);
  });

test("blocks of any length give what the whole does", async () => {
  const { path } = CASES.waves[0];
  assertClose((await decoded(path, { blockFrames: 7 }))[0], (await decoded(path, { blockFrames: 200 }))[0]);
});

test("a file that begins in the middle is a part of the whole", async () => {
  const { path } = CASES.waves[0];
  const [whole] = await decoded(path);
  assertClose((await decoded(path, { startFrame: 30 }))[0], whole.subarray(30 * model.hopLength));
  assertClose((await decoded(path, { startFrame: 71 }))[0], whole.subarray(71 * model.hopLength));
});

test("a wave has the codes of the package, however it is cut", async () => {
  const wave = floats(CASES.encoded.wave);
  const encoder = new Encoder(model);
  const found = [];
  for (const [first, last] of [[0, 100], [100, 9000], [9000, wave.length]]) found.push(await encoder.push([wave.subarray(first, last)]));
  found.push(await encoder.flush());
  const rows = Array.from({ length: model.totalCodebooks }, (_, row) =>
    found.flatMap(({ codes, frames }) => [...codes.subarray(row * frames, (row + 1) * frames)]),
  );
  const wanted = CASES.encoded.codes;
  assert.deepEqual([rows.length, rows[0].length], [wanted.length, wanted[0].length]);
  // Two float engines differ in a code now and then, where two vectors are equally near.
  const equal = rows.flat().filter((code, at) => code === wanted.flat()[at]).length;
  assert.ok(equal >= 0.99 * wanted.flat().length, `${equal} of ${wanted.flat().length}`);
});

test("frames that are lost fade out, and lost ones before any sound are silence", async () => {
  const decoder = new Decoder(model);
  const lost = { codes: new Int32Array(), layers: 0, frames: 20 };
  const [before] = await decoder.push(lost);
  assert.ok(before.length === 20 * model.hopLength - model.delaySamples && before.every((sample) => sample === 0));
  const codes = Int32Array.from(CASES.encoded.codes.slice(0, 3).flatMap((row) => row.slice(40, 50)));
  await decoder.push({ codes, layers: 3, frames: 10 });
  const [after] = await decoder.push(lost);
  assert.ok(after.subarray(0, model.hopLength).some((sample) => sample !== 0));
  assert.ok(after.subarray(11 * model.hopLength).every((sample) => sample === 0));
});

test("nothing is cast while it decodes, which takes browsers seconds to compile", () => {
  assert.ok(Buffer.from(files.decoder).includes("Cast"));
  assert.ok(!Buffer.from(widened(files.decoder, files.weights).graph).includes("Cast"));
});

test("what is not of each other is an error of the model", async () => {
  const bent = files.weights.slice();
  bent[bent.length - 1] ^= 1;
  await assert.rejects(Model.load(runtime, { ...files, weights: bent }), ModelError);
  await assert.rejects(Model.load(runtime, { ...files, decoder: files.weights.subarray(0, 5000) }), ModelError);
  await assert.rejects(Model.load(runtime, { ...files, decoder: files.decoder.subarray(0, 5000) }), ModelError);
  const other = join(dirname(new URL(import.meta.url).pathname), "../golden/v1-mono-16k.vqc");
  await assert.rejects(decoded(other), ModelError);
  assert.throws(() => widened(files.decoder, files.weights.subarray(0, 5000)), ModelError);
});
