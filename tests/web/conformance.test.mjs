/** The files of tools/conformance; test_module.py packs FOLDER, adds what the package reads of them, and runs this. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import * as runtime from "../../web/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { Model, ModelError, VqcError, VqcReader, decodeFile } from "../../vqcodec/web/module/vqcodec.js";
import { crc32 } from "../../vqcodec/web/module/checksums.js";

runtime.env.wasm.numThreads = 1;
const read = (...path) => new Uint8Array(readFileSync(join(process.env.FOLDER, ...path)));
const manifest = JSON.parse(readFileSync(join(process.env.FOLDER, "manifest.json"), "utf8"));
const chunks = JSON.parse(readFileSync(join(process.env.FOLDER, "chunks.json"), "utf8"));
const model = await Model.load(runtime, { weights: read("model.safetensors"), decoder: new Uint8Array(readFileSync(process.env.DECODER)) });

async function decoded(reader) {
  const parts = [];
  for await (const waves of decodeFile(reader, model)) parts.push(waves);
  return Array.from({ length: reader.header.channels }, (_, channel) => Float32Array.from(parts.flatMap((waves) => [...waves[channel]])));
}

test("sounds have the codes of the package, bit for bit, and its waves", async () => {
  assert.ok(manifest.sounds.length >= 15);
  for (const { file, wave, rate_hz: rateHz, channels, samples, tolerance } of manifest.sounds) {
    const reader = new VqcReader(read(file));
    const found = [...reader.chunks({ entropy: model.entropy })].map(({ startFrame, frames, layers, codes }) => [startFrame, frames, layers, crc32(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength))]);
    assert.deepEqual(found, chunks[file], file);
    assert.deepEqual([reader.samples, reader.decodedChannels, reader.header.originalRateHz], [samples, channels, rateHz], file);
    if (!tolerance.max_error) continue; // the browser resamples, which node does not have
    const waves = await decoded(reader);
    const wav = read(wave.file);
    const expected = new Int16Array(wav.slice(wav.length - 2 * channels * samples).buffer); // behind its header
    for (let at = 0; at < expected.length; at++) {
      const sample = waves[Math.min(at % channels, waves.length - 1)][Math.floor(at / channels)];
      assert.ok(Math.abs(sample - expected[at] / 32768) <= tolerance.max_error, `${file}: ${sample} at ${at}`);
    }
    assert.ok(waves.every((each) => each.length === samples), file);
  }
});

test("what must not be played is refused", async () => {
  assert.ok(manifest.refused.length >= 8);
  for (const { file, reason } of manifest.refused)
    await assert.rejects(
      async () => decoded(new VqcReader(read(file))),
      (error) => error instanceof VqcError || error instanceof ModelError,
      reason,
    );
});
