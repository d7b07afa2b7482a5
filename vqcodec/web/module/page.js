/** The page: files that are dropped, chosen or recorded, each in a player of its own; sound is encoded first. */

import { clock } from "./clock.js";
import "./element.js";
import { Original, Recorder, resampled, wavOf } from "./recorder.js";
import { FOLDER, remoteOf } from "./remote.js";
import { Spectrogram } from "./spectrogram.js";

/** @typedef {import("./element.js").VqcPlayer} VqcPlayer */

const PICTURE_SECONDS = 60;
const ENOUGH_SECONDS = 1; // that are decoded ahead of what sounds
const REDRAW_MILLISECONDS = 300; // that a slider rests

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const items = byId("items");
const input = /** @type {HTMLInputElement} */ (byId("input"));
const remote = remoteOf(FOLDER);

/** @param {string} text */
const say = (text) => (byId("status").textContent = text);

/** @param {string} name @param {Record<string, any>} [properties] @param {(Node | string)[]} children */
function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/**
 * Add a player of a file, its facts, pictures and what can be done with it.
 * @param {string} name @param {Uint8Array | string} source bytes or address @param {Original | null} original
 */
function add(name, source, original = null) {
  const player = /** @type {VqcPlayer} */ (document.createElement("vqc-player"));
  player.setAttribute("role", "group");
  player.setAttribute("aria-label", name);
  const about = made("p", { className: "about" });
  const item = made("article", {}, made("h2", { textContent: name }), about, player);
  const tell = async () => (about.textContent = await facts(player).catch((error) => error.message));
  for (const event of ["open", "whole", "rate"]) player.addEventListener(event, tell);
  player.addEventListener("whole", () => {
    item.append(pictures(player, original));
    if (original) item.append(heard(original.blob));
    const save = made("button", { type: "button", textContent: "Download" });
    save.onclick = () => download(name.replace(/(\.[^.]*)?$/, ".vqc"), player);
    item.append(made("p", {}, save));
  });
  items.prepend(item);
  if (typeof source === "string") player.setAttribute("src", source);
  else player.file = source;
  if (original?.isWhole) player.original = (start) => original.from(start);
}

/** The original, to be heard. @param {Blob} blob */
function heard(blob) {
  const audio = made("audio", { controls: true, src: URL.createObjectURL(blob) });
  return made("p", {}, made("label", {}, "The original ", audio));
}

/**
 * Spectrograms of the minute that sounds: of what is decoded, drawn anew as layers are dropped, and of the original.
 * @param {VqcPlayer} player @param {Original | null} original
 */
function pictures(player, original) {
  const decoded = new Spectrogram("Decoded");
  const other = original && new Spectrogram("Original");
  const all = other ? [decoded, other] : [decoded];
  let [shown, waiting] = [-1, 0];
  const draw = (/** @type {number} */ minute) => {
    const { opened, header, codebooks: numCodebooks } = player;
    const duration = player.player?.durationSeconds ?? 0;
    const start = minute * PICTURE_SECONDS;
    const seconds = Math.min(PICTURE_SECONDS, duration - start);
    if (!opened || !header || !(seconds > 0)) return;
    const { sampleRateHz: rateHz } = header;
    const waves = player.remote.decode(opened.file, { startSample: Math.round(start * rateHz), numCodebooks });
    decoded.draw(unhurried(waves, player), { rateHz, start, seconds }).catch((error) => say(error.message));
    if (minute !== shown && original) void other?.draw(original.from(start), { rateHz: original.rateHz, start, seconds });
    shown = minute;
  };
  const follow = () => {
    const { position = 0, durationSeconds = 0 } = player.player ?? {};
    const minute = Math.max(0, Math.floor(Math.min(position, durationSeconds - 0.01) / PICTURE_SECONDS));
    if (minute !== shown) draw(minute);
    for (const each of all) each.setPosition(position);
  };
  player.addEventListener("time", follow);
  player.addEventListener("rate", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => draw(Math.max(0, shown)), REDRAW_MILLISECONDS);
  });
  for (const each of all) each.onpick = (seconds) => player.player?.seek(seconds);
  follow();
  return made("div", { className: "pictures" }, ...all.map(({ element }) => element));
}

/** Waves that are taken while enough is there to sound. @param {AsyncIterable<Float32Array[]>} waves @param {VqcPlayer} player */
async function* unhurried(waves, { player }) {
  for await (const block of waves) {
    yield block;
    while (player?.isPlaying && player.aheadSeconds < ENOUGH_SECONDS) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What is known of a file, with the codebooks that the slider leaves. @param {VqcPlayer} player */
async function facts(player) {
  const { header, opened } = player;
  const durationSeconds = player.player?.durationSeconds ?? 0;
  if (!header || !opened || !Number.isFinite(durationSeconds)) return "";
  const bytes = player.file.length && (await bytesOf(player)).length;
  const kbps = bytes && durationSeconds ? `${bytes} bytes, ${((8 * bytes) / durationSeconds / 1000).toFixed(2)} kbps` : "...";
  const channels = opened.decodedChannels === 1 ? "mono" : `${opened.decodedChannels} channels`;
  return `${clock(durationSeconds)}, ${kbps}, ${channels}, ${header.originalRateHz} Hz`;
}

/** The file with the codebooks that the slider leaves: as it is with all of them. @param {VqcPlayer} player */
async function bytesOf({ codebooks, header, opened, file, remote: its }) {
  return codebooks === header?.numCodebooks || !opened ? file : its.thin(opened.file, codebooks);
}

/** Save the file with the codebooks that the slider leaves. @param {string} name @param {VqcPlayer} player */
async function download(name, player) {
  try {
    const link = made("a", { download: name, href: URL.createObjectURL(new Blob([/** @type {any} */ (await bytesOf(player))])) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(/** @type {HTMLAnchorElement} */ (link).href), 10_000);
  } catch (error) {
    say(`${name}: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * Encode waves in the worker, and add them.
 * @param {string} name @param {Float32Array[]} waves at the model's rate @param {{blob: Blob, rateHz: number}} original
 */
async function encode(name, waves, { blob, rateHz }) {
  const original = new Original(waves, rateHz, blob);
  const onProgress = (/** @type {number} */ share) => say(`${name}: encoding, ${Math.round(100 * share)} %`);
  add(name, await remote.encode(waves.map((wave) => wave.slice()), { onProgress }), original);
}

/** Encode any sound that the browser decodes. @param {File} file */
async function encodeFile(file) {
  say(`${file.name}: loading the model ...`);
  const { sampleRateHz: rateHz } = await remote.load(true);
  const sound = await new OfflineAudioContext(1, 1, rateHz).decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("neither a .vqc nor sound that this browser decodes");
  });
  const waves = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  await encode(file.name, waves, { blob: file, rateHz });
}

/** @param {Iterable<File>} files */
async function take(files) {
  for (const file of files) {
    try {
      const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
      const isCoded = new TextDecoder().decode(start) === "VQC" || file.name.endsWith(".vqc");
      if (isCoded) add(file.name, new Uint8Array(await file.arrayBuffer()));
      else await encodeFile(file);
      say("");
    } catch (error) {
      say(`${file.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
}

/** @type {Recorder | null} */
let recorder = null;
let recordings = 0;
const button = /** @type {HTMLButtonElement} */ (byId("record"));

/** Begin to record, or end and encode. */
async function record() {
  const name = `Recording ${recordings + 1}`;
  button.disabled = true;
  try {
    if (!recorder) {
      recorder = await Recorder.start((seconds) => (byId("recorded").textContent = clock(Math.floor(seconds), 0)));
      say("Recording ...");
      return;
    }
    const ended = recorder;
    recorder = null;
    const { wave, rateHz } = await ended.stop();
    say(`${name}: loading the model ...`);
    const { sampleRateHz } = await remote.load(true);
    await encode(name, [await resampled(wave, rateHz, sampleRateHz)], { blob: wavOf(wave, rateHz), rateHz: sampleRateHz });
    recordings++;
    say("");
  } catch (error) {
    say(`${name}: ${/** @type {Error} */ (error).message}`);
  } finally {
    button.disabled = false;
    button.textContent = recorder ? "Stop" : "Record";
    if (!recorder) byId("recorded").textContent = "";
  }
}

button.onclick = record;
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

for (const name of JSON.parse(byId("files").textContent ?? "[]").reverse()) add(name, `files/${encodeURIComponent(name)}`);
document.documentElement.dataset.ready = "";
