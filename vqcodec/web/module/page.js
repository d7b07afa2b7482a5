/** The page: files that are dropped or chosen, each in a player of its own; sound is encoded first. */

import { Encoder } from "./codec.js";
import "./element.js";
import { Header } from "./header.js";
import { loadModel } from "./load.js";
import { clock } from "./reader.js";
import { writeVqc } from "./writer.js";

const BLOCK_FRAMES = 64;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const items = byId("items");
const input = /** @type {HTMLInputElement} */ (byId("input"));

/** @param {string} text */
const say = (text) => (byId("status").textContent = text);

/** @param {string} name @param {Record<string, any>} [properties] @param {(Node | string)[]} children */
function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/**
 * Add a player, and return what goes with it.
 * @param {string} name @param {Uint8Array} bytes @param {Blob | null} original
 */
function add(name, bytes, original = null) {
  const player = /** @type {import("./element.js").VqcPlayer} */ (document.createElement("vqc-player"));
  const about = made("p", { className: "about" });
  const item = made("article", {}, made("h2", { textContent: name }), about, player);
  player.addEventListener("open", () => (about.textContent = facts(player)));
  items.prepend(item);
  player.file = bytes;
  const { reader } = player;
  if (!reader) return;
  if (original) {
    const audio = Object.assign(document.createElement("audio"), { controls: true, src: URL.createObjectURL(original) });
    item.append(made("p", {}, made("label", {}, "The original ", audio)));
  }
  const save = made("button", { type: "button", textContent: "Download" });
  save.onclick = () => download(name.replace(/(\.[^.]*)?$/, ".vqc"), player);
  item.append(made("p", {}, save));
}

/** @param {import("./element.js").VqcPlayer} player */
function facts({ reader, file }) {
  if (!reader) return "";
  const { header } = reader;
  const seconds = (reader.samples ?? 0) / header.originalRateHz;
  const kbps = seconds ? (8 * file.length) / seconds / 1000 : 0;
  const channels = reader.decodedChannels === 1 ? "mono" : `${reader.decodedChannels} channels`;
  return `${clock(seconds)}, ${file.length} bytes, ${kbps.toFixed(2)} kbps, ${channels}, ${header.originalRateHz} Hz`;
}

/** Save the file with the codebooks that the slider leaves. */
async function download(/** @type {string} */ name, /** @type {import("./element.js").VqcPlayer} */ player) {
  try {
    const bytes = player.codebooks === player.reader?.header.numCodebooks ? player.file : await thinned(player);
    const link = made("a", { download: name, href: URL.createObjectURL(new Blob([/** @type {any} */ (bytes)])) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(/** @type {HTMLAnchorElement} */ (link).href), 10_000);
  } catch (error) {
    say(`${name}: ${/** @type {Error} */ (error).message}`);
  }
}

/** The file with fewer codebooks. @param {import("./element.js").VqcPlayer} player */
async function thinned({ reader, codebooks }) {
  if (!reader) return new Uint8Array();
  const { entropy } = await loadModel();
  const frames = reader.header.framesFor(reader.scan());
  const codes = new Int32Array(reader.header.channels * codebooks * frames);
  for (const chunk of reader.chunks({ numCodebooks: codebooks, entropy }))
    for (let row = 0; row < reader.header.channels * codebooks; row++)
      codes.set(chunk.codes.subarray(row * chunk.frames, (row + 1) * chunk.frames), row * frames + chunk.startFrame);
  if (codes.includes(-1)) throw new Error("a file of varied depth is thinned by vqcodec thin only");
  const header = new Header({ ...reader.header, samples: reader.samples, numCodebooks: codebooks });
  return writeVqc(header, codes, { entropy, tags: Object.fromEntries(reader.tags) });
}

/** Encode any sound that the browser decodes. @param {File} file */
async function encode(file) {
  say(`${file.name}: loading the model ...`);
  const model = await loadModel({ encoder: true });
  const rateHz = model.sampleRateHz;
  const sound = await new OfflineAudioContext(1, 1, rateHz).decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("neither a .vqc nor sound that this browser decodes");
  });
  const waves = distinct(Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index)));
  const encoder = new Encoder(model, { channels: waves.length });
  const blocks = [];
  const step = BLOCK_FRAMES * model.hopLength;
  for (let start = 0; start < sound.length; start += step) {
    blocks.push(await encoder.push(waves.map((wave) => wave.subarray(start, start + step))));
    say(`${file.name}: encoding, ${Math.round((100 * start) / sound.length)} %`);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  blocks.push(await encoder.flush());
  const frames = blocks.reduce((sum, block) => sum + block.frames, 0);
  const rows = waves.length * model.totalCodebooks;
  const codes = new Int32Array(rows * frames);
  let at = 0;
  for (const block of blocks) {
    for (let row = 0; row < rows; row++)
      codes.set(block.codes.subarray(row * block.frames, (row + 1) * block.frames), row * frames + at);
    at += block.frames;
  }
  const { fingerprint, hopLength, totalCodebooks: numCodebooks, codebookSize } = model;
  const about = { fingerprint, hopLength, numCodebooks, codebookSize, sampleRateHz: rateHz, originalRateHz: rateHz };
  const header = new Header({ ...about, channels: waves.length, samples: sound.length });
  /** @type {Record<string, string>} */
  const same = waves.length < sound.numberOfChannels ? { "vqc.channels": String(sound.numberOfChannels) } : {};
  return writeVqc(header, codes, { entropy: model.entropy, tags: same });
}

/** The channels, or one where all are the same. @param {Float32Array[]} waves */
function distinct(waves) {
  return waves.every((wave) => wave.every((sample, at) => sample === waves[0][at])) ? waves.slice(0, 1) : waves;
}

/** @param {Iterable<File>} files */
async function take(files) {
  for (const file of files) {
    try {
      const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
      const isCoded = new TextDecoder().decode(start) === "VQC" || file.name.endsWith(".vqc");
      if (isCoded) add(file.name, new Uint8Array(await file.arrayBuffer()));
      else add(file.name, await encode(file), file);
      say("");
    } catch (error) {
      say(`${file.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
}

byId("choose").onclick = () => input.click();
input.onchange = async () => {
  const files = [...(input.files ?? [])];
  input.value = "";
  await take(files);
};
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("over");
};
document.ondragleave = () => document.body.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  void take([...(event.dataTransfer?.files ?? [])]);
};

for (const name of JSON.parse(byId("files").textContent ?? "[]").reverse()) {
  const address = `files/${encodeURIComponent(name)}`;
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    add(name, new Uint8Array(await answer.arrayBuffer()));
  } catch (error) {
    say(`${name}: ${/** @type {Error} */ (error).message}`);
  }
}
document.documentElement.dataset.ready = "";
