// Ogg Opus -> WAV of 16 bits, the speech enhanced by LACE or NoLACE of libopus 1.5, in WebAssembly.
//
// node opus_ml.mjs FOLDER lace|nolace RATE_HZ IN OUT, after `npm install ogg-opus-decoder` in FOLDER.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const HEADER_BYTES = 44;

const [folder, speechQualityEnhancement, rate, input, output] = process.argv.slice(2);
const sampleRate = Number(rate);
const installed = createRequire(join(resolve(folder), "package.json")).resolve("ogg-opus-decoder");
const { OggOpusDecoder } = await import(pathToFileURL(installed));
const decoder = new OggOpusDecoder({ speechQualityEnhancement, sampleRate });
await decoder.ready;
const { channelData, errors } = await decoder.decodeFile(new Uint8Array(readFileSync(input)));
if (errors.length) throw new Error(errors[0].message);

const [samples] = channelData;
const wav = Buffer.alloc(HEADER_BYTES + 2 * samples.length);
wav.write("RIFF", 0);
wav.writeUInt32LE(wav.length - 8, 4);
wav.write("WAVEfmt ", 8);
wav.writeUInt32LE(16, 16); // bytes of this part
wav.writeUInt16LE(1, 20); // integers
wav.writeUInt16LE(1, 22); // channel
wav.writeUInt32LE(sampleRate, 24);
wav.writeUInt32LE(2 * sampleRate, 28);
wav.writeUInt16LE(2, 32);
wav.writeUInt16LE(16, 34);
wav.write("data", 36);
wav.writeUInt32LE(2 * samples.length, 40);
samples.forEach((sample, index) => {
  const rounded = Math.max(-32768, Math.min(32767, Math.round(32768 * sample)));
  wav.writeInt16LE(rounded, HEADER_BYTES + 2 * index);
});
writeFileSync(output, wav);
