/** The reader against what the package's own says of the same bytes; test_module.py writes CASES and runs this. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { DamagedError, EntropyModel, ModelError, VqcError, VqcReader, openArriving, readSafetensors, thin, writeVqc } from "../../vqcodec/web/module/vqcodec.js";
import { crc32 } from "../../vqcodec/web/module/checksums.js";

const GOLDEN = join(import.meta.dirname, "../golden");
const CASES = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const NAMES = { VqcError: "BitstreamError" };

const read = (path) => new Uint8Array(readFileSync(path));
const entropy = new EntropyModel(readSafetensors(read(join(GOLDEN, "v1-entropy.safetensors"))).tensors);
const hash = (codes) => crc32(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength));

function told(error) {
  assert.ok(error instanceof VqcError, error.stack);
  assert.ok(error.message && !error.message.includes("\n"));
  const seconds = error instanceof DamagedError ? [error.startSeconds, error.endSeconds] : [];
  return [NAMES[error.name] ?? error.name, ...seconds];
}

/** As `outcome` of test_module.py. */
function outcome(data, options = {}) {
  const damage = [];
  const chunks = [];
  try {
    const reader = new VqcReader(data);
    for (const chunk of reader.chunks({ entropy, onDamage: (error) => damage.push(told(error)), ...options }))
      chunks.push([chunk.startFrame, chunk.frames, chunk.layers, hash(chunk.codes)]);
    return { chunks, damage, samples: reader.samples, tags: Object.fromEntries(reader.tags) };
  } catch (error) {
    return { chunks, damage, raised: told(error) };
  }
}

function mutated(data, edits) {
  let bytes = [...data];
  for (const [at, removed, inserted] of edits) bytes = [...bytes.slice(0, at), ...inserted, ...bytes.slice(at + removed)];
  return Uint8Array.from(bytes);
}

test("golden files have their codes", () => {
  assert.ok(CASES.golden.length >= 13);
  for (const { name, codes, samples, tags } of CASES.golden) {
    const reader = new VqcReader(read(join(GOLDEN, name)));
    const { channels, numCodebooks } = reader.header;
    const rows = Array.from({ length: channels }, () => Array.from({ length: numCodebooks }, () => []));
    for (const chunk of reader.chunks({ entropy }))
      rows.forEach((layers, c) =>
        layers.forEach((row, k) => {
          const at = (c * numCodebooks + k) * chunk.frames;
          row.push(...chunk.codes.subarray(at, at + chunk.frames));
        }),
      );
    assert.deepEqual(rows, codes, name);
    assert.equal(reader.samples, samples);
    assert.deepEqual(Object.fromEntries(reader.tags), tags);
  }
});

test("the writer gives golden files byte for byte", () => {
  const chunks = { "v1-mono-16k": 40, "v1-stereo-44k": 256, "v1-odd-rates": 5, "v1-empty": 256, "v1-entropy": 60, "v1-tagged": 256 };
  for (const { name, codes, tags } of CASES.golden) {
    const framesPerChunk = chunks[name.replace(".vqc", "")];
    if (!framesPerChunk) continue;
    const whole = read(join(GOLDEN, name));
    const options = { tags, framesPerChunk, entropy: name === "v1-entropy.vqc" ? entropy : null };
    assert.deepEqual(writeVqc(new VqcReader(whole).header, Int32Array.from(codes.flat(2)), options), whole, name);
  }
});

test("a file of the bundled model has its codes", () => {
  const model = new EntropyModel(readSafetensors(read(CASES.bundled.weights)).tensors);
  const reader = new VqcReader(read(CASES.bundled.file));
  const found = [...reader.chunks({ entropy: model })].map((chunk) => [chunk.startFrame, hash(chunk.codes)]);
  assert.deepEqual(found, CASES.bundled.chunks);
  const start = [...reader.chunks({ entropy: model, startFrame: 40, endFrame: 45, numCodebooks: 3 })];
  assert.deepEqual(start.map((chunk) => [chunk.startFrame, [...chunk.codes]]), CASES.bundled.span);
});

test("any span and depth is a part of the whole", () => {
  for (const { name } of CASES.golden) {
    const reader = new VqcReader(read(join(GOLDEN, name)));
    const whole = [...reader.chunks({ entropy })];
    for (const [startFrame, endFrame] of [[0, 7], [3, 31], [29, 62], [7, null]]) {
      for (const chunk of reader.chunks({ entropy, startFrame, endFrame, numCodebooks: 1 })) {
        const of = whole.find((each) => each.startFrame <= chunk.startFrame && chunk.startFrame < each.startFrame + each.frames);
        for (let c = 0; c < reader.header.channels; c++) {
          const at = c * of.layers * of.frames + chunk.startFrame - of.startFrame;
          const part = chunk.codes.subarray(c * chunk.frames, (c + 1) * chunk.frames);
          assert.deepEqual(part, of.codes.slice(at, at + chunk.frames), name);
        }
      }
    }
  }
});

test("two passes over one reader do not disturb each other", () => {
  const reader = new VqcReader(read(join(GOLDEN, "v1-mono-16k.vqc")));
  const passes = [reader.chunks(), reader.chunks()];
  for (const start of [0, 40, 80]) for (const pass of passes) assert.equal(pass.next().value.startFrame, start);
});

test("damaged files end as those of the package", () => {
  assert.ok(CASES.damaged.length > 1000);
  for (const { name, edits, expected } of CASES.damaged) {
    const found = outcome(mutated(read(join(GOLDEN, name)), edits));
    assert.deepEqual(JSON.parse(JSON.stringify(found)), expected, `${name} ${JSON.stringify(edits)}`);
  }
});

test("hostile files end as those of the package", () => {
  for (const { path, expected } of CASES.hostile) {
    const found = outcome(read(path));
    assert.deepEqual(JSON.parse(JSON.stringify(found)), expected, path);
  }
});

test("a search among many heads lets others have their turn, and what they read is not disturbed", () => {
  const heads = read(CASES.hostile.find(({ path }) => path.endsWith("/heads")).path);
  const reader = new VqcReader(heads);
  const pass = reader.chunksInTurns({ entropy, onDamage: () => {} });
  assert.equal(pass.next().value, null);
  const damage = [];
  for (const _ of reader.chunks({ entropy, onDamage: (error) => damage.push(told(error)) }));
  const turns = [...pass];
  assert.ok(turns.length && turns.every((turn) => turn === null));
  assert.deepEqual(damage, CASES.hostile.find(({ path }) => path.endsWith("/heads")).expected.damage);
});

/** As `outcome`, of bytes that come in pieces, the last of which may never come. */
async function outcomeArriving(data, pieceBytes) {
  let at = 0;
  const pull = (controller) => {
    if (at >= data.length) return controller.close();
    controller.enqueue(data.slice(at, (at += pieceBytes)));
  };
  const damage = [];
  const chunks = [];
  try {
    const { reader, whole } = await openArriving(new ReadableStream({ pull }, { highWaterMark: 0 }));
    for (const chunk of reader.chunksInTurns({ entropy, onDamage: (error) => damage.push(told(error)) }))
      if (chunk) chunks.push([chunk.startFrame, chunk.frames, chunk.layers, hash(chunk.codes)]);
      else await reader.rest();
    await whole;
    return { chunks, damage, samples: reader.samples, tags: Object.fromEntries(reader.tags) };
  } catch (error) {
    return { chunks, damage, raised: told(error) };
  }
}

test("a file that comes in pieces ends as the whole, damaged or not", async () => {
  for (const { name } of CASES.golden) {
    const data = read(join(GOLDEN, name));
    for (const pieceBytes of [1, 7, 100]) assert.deepEqual(await outcomeArriving(data, pieceBytes), outcome(data), name);
  }
  const some = CASES.damaged.filter((_, index) => index % 20 === 0);
  for (const { name, edits } of some) {
    const data = mutated(read(join(GOLDEN, name)), edits);
    assert.deepEqual(await outcomeArriving(data, 13), outcome(data), `${name} ${JSON.stringify(edits)}`);
  }
});

test("chunks come before the end of the file does, and a stream that breaks is told", async () => {
  const data = read(join(GOLDEN, "v1-mono-16k.vqc"));
  let controller;
  const { reader, whole } = await openArriving(new ReadableStream({ start: (its) => (controller = its).enqueue(data.subarray(0, -30)) }));
  const early = reader.chunksInTurns({});
  assert.deepEqual([early.next().value.startFrame, early.next().value.startFrame], [0, 40]);
  assert.equal(early.next().value, null);
  assert.throws(() => [...reader.chunks()], RangeError);
  controller.error(new Error("gone"));
  await assert.rejects(whole, /gone/);
  assert.throws(() => [...reader.chunks()], VqcError);
});

test("upper layers are left out as the package does it, of any coding", () => {
  assert.ok(CASES.thinned.length > 20);
  for (const { path, count, hex } of CASES.thinned)
    assert.equal(Buffer.from(thin(new VqcReader(read(path)), count)).toString("hex"), hex, `${path} ${count}`);
  assert.throws(() => thin(new VqcReader(read(CASES.bundled.file)), 0), RangeError);
});

test("an entropy-coded file without its tables is an error of the model", () => {
  const reader = new VqcReader(read(join(GOLDEN, "v1-entropy.vqc")));
  assert.throws(() => [...reader.chunks()], ModelError);
  assert.throws(() => [...reader.chunks({ entropy, onDamage: assert.fail, numCodebooks: 9 })], RangeError);
});

test("weights that are none, cut or out of bounds are an error", () => {
  const file = read(join(GOLDEN, "v1-entropy.safetensors"));
  for (const length of [0, 7, 8, 100, file.length - 1])
    assert.throws(() => new EntropyModel(readSafetensors(file.subarray(0, length)).tensors), ModelError);
  const { tensors } = readSafetensors(file);
  const bias = { dtype: "I32", shape: [6], data: new Uint8Array(new Int32Array(6).fill(2 ** 30).buffer) };
  assert.throws(() => new EntropyModel(new Map([...tensors, ["entropy.0.hidden.bias", bias]])), ModelError);
  const lags = { dtype: "I32", shape: [2], data: new Uint8Array(new Int32Array([-1, 0]).buffer) };
  assert.throws(() => new EntropyModel(new Map([...tensors, ["entropy.0.lags", lags]])), ModelError);
});
