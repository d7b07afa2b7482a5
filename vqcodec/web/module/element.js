/** <vqc-player src="speech.vqc">: plays a .vqc, seeks, drops layers while it sounds, shows tags and damage. */

import { decodeFile } from "./codec.js";
import { VqcError } from "./errors.js";
import { FOLDER, loadModel } from "./load.js";
import { Player } from "./player.js";
import { VqcReader, clock } from "./reader.js";

const MAX_FILE_BYTES = 2 ** 28; // days of speech

const TEMPLATE = `
<style>
  :host { display: block; font: inherit; }
  .row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; }
  .row + .row, p, ul { margin: 0.5rem 0 0; }
  button, input { font: inherit; color: inherit; accent-color: var(--accent, #0b62a8); }
  button { min-width: 5rem; min-height: 2.25rem; }
  input { flex: 1; min-width: 8rem; }
  label { display: contents; }
  output { font-variant-numeric: tabular-nums; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 0.75rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
  dd { margin: 0; white-space: pre-wrap; }
  .damage { color: var(--alarm, #b3261e); }
  [hidden] { display: none !important; }
</style>
<div class="row">
  <button type="button" part="play" disabled>Play</button>
  <input type="range" part="seek" aria-label="Position" min="0" value="0" step="0.1" disabled>
  <output part="time"></output>
</div>
<div class="row">
  <label><span>Rate</span><input type="range" part="rate" min="1" step="1" aria-label="Rate in kbps" disabled></label>
  <output part="kbps"></output>
</div>
<p part="status" role="status"></p>
<ul class="damage" part="damage" hidden></ul>
<dl part="tags" hidden></dl>`;

/**
 * Attributes: `src`, the address of a .vqc; `folder`, where the model and the runtime are, by default the folder that
 * the module lies in. Property `file`: the bytes, instead of `src`.
 */
export class VqcPlayer extends HTMLElement {
  static observedAttributes = ["src"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = TEMPLATE;
    const part = (/** @type {string} */ name) => /** @type {any} */ (root.querySelector(`[part="${name}"]`));
    this.parts = {
      play: /** @type {HTMLButtonElement} */ (part("play")),
      seek: /** @type {HTMLInputElement} */ (part("seek")),
      time: /** @type {HTMLOutputElement} */ (part("time")),
      rate: /** @type {HTMLInputElement} */ (part("rate")),
      kbps: /** @type {HTMLOutputElement} */ (part("kbps")),
      status: /** @type {HTMLElement} */ (part("status")),
      damage: /** @type {HTMLElement} */ (part("damage")),
      tags: /** @type {HTMLElement} */ (part("tags")),
    };
    this.parts.play.onclick = () => (this.player?.isPlaying ? this.player.pause() : this.play());
    this.parts.seek.oninput = () => this.player?.seek(Number(this.parts.seek.value));
    this.parts.rate.oninput = () => this.#setCodebooks(Number(this.parts.rate.value));
  }

  /** @type {VqcReader | null} */
  reader = null;
  /** @type {Player | null} */
  player = null;
  codebooks = 0;
  #opened = 0;
  #drawn = 0;

  /** @param {string} _name @param {string | null} _old @param {string | null} value */
  async attributeChangedCallback(_name, _old, value) {
    if (value === null) return;
    const opened = ++this.#opened;
    try {
      const answer = await fetch(value);
      if (!answer.ok) throw new VqcError(`${value}: ${answer.status} ${answer.statusText}`);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (opened === this.#opened) this.file = bytes;
    } catch (error) {
      if (opened === this.#opened) this.#fail(error);
    }
  }

  disconnectedCallback() {
    void this.player?.close();
  }

  /** The bytes of the file that is played. Those that are no .vqc are told of, and throw nothing. */
  get file() {
    return this.reader?.file ?? new Uint8Array();
  }

  set file(bytes) {
    this.#opened++;
    void this.player?.close();
    this.player = this.reader = null;
    try {
      this.#open(bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Play, with the model loaded first. Call it from a gesture. */
  async play() {
    const { player } = this;
    if (!player) return;
    this.#say("Loading the model ...");
    try {
      const model = await this.#model();
      model.check(/** @type {VqcReader} */ (this.reader).header);
      this.#say("");
      await player.play();
    } catch (error) {
      this.#fail(error);
    }
  }

  #model() {
    const folder = this.getAttribute("folder");
    return loadModel({ folder: folder ? new URL(`${folder}/`, document.baseURI).href : FOLDER });
  }

  /** @param {Uint8Array} bytes */
  #open(bytes) {
    if (bytes.length > MAX_FILE_BYTES) throw new VqcError(`the file has ${bytes.length} bytes, over ${MAX_FILE_BYTES}`);
    const reader = new VqcReader(bytes);
    const { header } = reader;
    /** @type {VqcError[]} */
    const damage = [];
    for (const _ of reader.records((error) => damage.push(error)));
    this.reader = reader;
    this.codebooks = header.numCodebooks;
    const durationSeconds = (reader.samples ?? 0) / header.originalRateHz;
    this.player = new Player((start) => this.#waves(start), { rateHz: header.sampleRateHz, durationSeconds });
    this.player.addEventListener("change", () => this.#show());
    this.player.addEventListener("fail", (event) => this.#fail(/** @type {CustomEvent} */ (event).detail));
    const { seek, rate, tags, damage: list, play } = this.parts;
    seek.max = String(durationSeconds);
    rate.max = rate.value = String(header.numCodebooks);
    play.disabled = seek.disabled = rate.disabled = false;
    tags.hidden = !reader.tags.size;
    tags.replaceChildren(...[...reader.tags].flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
    list.hidden = !damage.length;
    list.replaceChildren(...damage.map((error) => made("li", error.message)));
    this.#say("");
    this.#show();
    this.dispatchEvent(new Event("open"));
  }

  /** Waves from a time on. @param {number} startSeconds */
  async *#waves(startSeconds) {
    const reader = /** @type {VqcReader} */ (this.reader);
    const { header } = reader;
    const model = await this.#model();
    const startSample = Math.round(startSeconds * header.sampleRateHz);
    const startFrame = Math.floor(startSample / header.hopLength);
    let early = startSample - startFrame * header.hopLength;
    const options = { startFrame, numCodebooks: this.codebooks, onDamage: () => {} };
    for await (const waves of decodeFile(reader, model, options)) {
      const skipped = Math.min(early, waves[0].length);
      early -= skipped;
      if (skipped < waves[0].length) yield waves.map((wave) => wave.subarray(skipped));
    }
  }

  /** @param {number} count */
  #setCodebooks(count) {
    this.codebooks = count;
    this.player?.replace((start) => this.#waves(start));
    this.#show();
  }

  #show() {
    const { player, reader } = this;
    if (!player || !reader) return;
    const { header } = reader;
    const { play, seek, time, rate, kbps } = this.parts;
    play.textContent = player.isPlaying ? "Pause" : "Play";
    seek.value = String(player.position);
    time.textContent = `${clock(player.position, 0)} / ${clock(player.durationSeconds, 0)}`;
    seek.setAttribute("aria-valuetext", time.textContent);
    const each = (header.bitsPerCode * header.sampleRateHz) / header.hopLength / 1000;
    const text = `${(this.codebooks * each).toFixed(1)} kbps, ${this.codebooks} of ${header.numCodebooks} codebooks`;
    if (kbps.textContent !== text) kbps.textContent = text;
    rate.setAttribute("aria-valuetext", text);
    cancelAnimationFrame(this.#drawn);
    if (player.isPlaying) this.#drawn = requestAnimationFrame(() => this.#show());
  }

  /** @param {unknown} error */
  #fail(error) {
    const { play, seek, rate } = this.parts;
    if (!this.reader) play.disabled = seek.disabled = rate.disabled = true;
    this.#say(error instanceof Error ? error.message : String(error));
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }

  /** @param {string} text */
  #say(text) {
    this.parts.status.textContent = text;
  }
}

/** @param {string} name @param {string} text */
function made(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

customElements.define("vqc-player", VqcPlayer);
