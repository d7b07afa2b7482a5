/** <vqc-player src="speech.vqc">: plays a .vqc, seeks, drops layers while it sounds, shows tags and damage. */

import { clock } from "./clock.js";
import { Header } from "./header.js";
import { Player } from "./player.js";
import { FOLDER, remoteOf } from "./remote.js";

/** @typedef {import("./remote.js").Opened} Opened */
/** @typedef {import("./remote.js").Damage} Damage */

const SKIP_SECONDS = 5; // of an arrow key
const MOST_LINES = 20; // of damage

const TEMPLATE = `
<style>
  :host { display: block; font: inherit; }
  .row { display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: center; }
  .row + .row, p, ul { margin: 0.5rem 0 0; }
  button, input { font: inherit; color: inherit; accent-color: var(--accent, #0b62a8); }
  button { min-width: 5rem; min-height: 2.25rem; border: 1px solid; border-radius: 0.4rem; background: none; cursor: pointer; }
  button[aria-pressed="true"] { box-shadow: inset 0 0 0 2px; }
  button:disabled { opacity: 0.5; cursor: default; }
  .track { flex: 1; min-width: 8rem; }
  input { display: block; width: 100%; margin: 0.25rem 0; }
  .strip { position: relative; height: 0.3rem; margin: 0 0.5rem; }
  .strip i { position: absolute; height: 100%; min-width: 3px; background: var(--alarm, #b3261e); }
  .time { font-variant-numeric: tabular-nums; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 0.75rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
  dd { margin: 0; white-space: pre-wrap; }
  .damage { color: var(--alarm, #b3261e); padding-left: 1.25rem; }
  [hidden], p:empty { display: none !important; }
</style>
<div class="row">
  <button type="button" part="play" disabled>Play</button>
  <div class="track">
    <input type="range" part="seek" aria-label="Position" min="0" value="0" step="0.1" disabled>
    <div class="strip" part="strip" aria-hidden="true" hidden></div>
  </div>
  <span class="time" part="time"></span>
</div>
<div class="row">
  <span aria-hidden="true">Rate</span>
  <div class="track"><input type="range" part="rate" min="1" step="1" aria-label="Rate in kbps" disabled></div>
  <span part="kbps"></span>
  <button type="button" part="original" aria-pressed="false" hidden>Original</button>
</div>
<p part="status" role="status"></p>
<ul class="damage" part="damage" aria-label="Damage" hidden></ul>
<dl part="tags" hidden></dl>`;

/**
 * Attributes: `src`, the address of a .vqc; `folder`, where the model and the runtime are, by default the folder that
 * the module lies in. Property `file`: the bytes, instead of `src`. Events: "open" when it can be played, "whole" when
 * all of it has come, "rate" when layers are dropped, "time" as it plays, "fail" with the error as `detail`.
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
      strip: /** @type {HTMLElement} */ (part("strip")),
      time: /** @type {HTMLElement} */ (part("time")),
      rate: /** @type {HTMLInputElement} */ (part("rate")),
      kbps: /** @type {HTMLElement} */ (part("kbps")),
      original: /** @type {HTMLButtonElement} */ (part("original")),
      status: /** @type {HTMLElement} */ (part("status")),
      damage: /** @type {HTMLElement} */ (part("damage")),
      tags: /** @type {HTMLElement} */ (part("tags")),
    };
    this.parts.play.onclick = () => (this.player?.isPlaying ? this.player.pause() : this.play());
    this.parts.seek.oninput = () => this.player?.seek(Number(this.parts.seek.value));
    this.parts.seek.onkeydown = (event) => this.#key(event);
    this.parts.rate.oninput = () => this.#setCodebooks(Number(this.parts.rate.value));
    this.parts.original.onclick = () => this.#hear(!this.isOriginal);
  }

  /** @type {Player | null} */
  player = null;
  /** What the beginning of the file tells. @type {Opened | null} */
  opened = null;
  /** @type {Header | null} */
  header = null;
  /** What is lost, by seconds. @type {Damage[]} */
  damage = [];
  codebooks = 0;
  /** Whether the original sounds. */
  isOriginal = false;
  /** @type {import("./player.js").Open | null} */
  #original = null;
  /** @type {Uint8Array} */
  #bytes = new Uint8Array();
  #asked = 0;
  #drawn = 0;

  /** @param {string} _name @param {string | null} _old @param {string | null} value */
  attributeChangedCallback(_name, _old, value) {
    if (value !== null) void this.#open(new URL(value, document.baseURI).href);
  }

  disconnectedCallback() {
    void this.player?.close();
  }

  /** The bytes of the file that is played, once they have all come. Those that are no .vqc are told of, and throw nothing. */
  get file() {
    return this.#bytes;
  }

  set file(bytes) {
    void this.#open(bytes);
  }

  /**
   * Waves of what was encoded, at the model's rate, from a time on: a button switches to them and back at the same position.
   * Set it after the file.
   */
  set original(/** @type {import("./player.js").Open | null} */ open) {
    this.#original = open;
    this.isOriginal = false;
    this.parts.original.hidden = !open;
  }

  /** The worker in which the file is decoded. */
  get remote() {
    const folder = this.getAttribute("folder");
    return remoteOf(folder ? new URL(`${folder}/`, document.baseURI).href : FOLDER);
  }

  /** Play, with the model loaded first. Call it from a gesture. */
  async play() {
    const { player } = this;
    if (!player) return;
    try {
      player.wake().catch(() => {}); // within the gesture; play asks again, and tells
      this.#say("Loading the model ...");
      await this.remote.load();
      this.#say("");
      await player.play();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {Uint8Array | string} source */
  async #open(source) {
    const asked = ++this.#asked;
    void this.player?.close();
    if (this.opened) this.remote.close(this.opened.file);
    this.player = this.opened = this.header = this.original = null;
    this.#bytes = new Uint8Array();
    this.#showDamage([]);
    const isCurrent = () => asked === this.#asked;
    try {
      const { bytes, samples, damage } = await this.remote.open(source, (opened) => {
        if (isCurrent()) this.#begin(opened);
        else this.remote.close(opened.file);
      });
      if (!isCurrent()) return;
      this.#bytes = bytes;
      this.#setDuration(samples);
      this.#showDamage(damage);
      this.dispatchEvent(new Event("whole"));
    } catch (error) {
      if (isCurrent()) this.#fail(error);
    }
  }

  /** Be ready to play while the rest of the file comes. @param {Opened} opened */
  #begin(opened) {
    const header = new Header(opened.header);
    this.opened = opened;
    this.header = header;
    this.codebooks = header.numCodebooks;
    this.player = new Player((start) => this.#waves(start), { rateHz: header.sampleRateHz, durationSeconds: Infinity });
    this.player.addEventListener("change", () => this.#show());
    this.player.addEventListener("fail", (event) => this.#fail(/** @type {CustomEvent} */ (event).detail));
    const { rate, tags, play } = this.parts;
    rate.max = rate.value = String(header.numCodebooks);
    play.disabled = rate.disabled = false;
    tags.hidden = !opened.tags.size;
    tags.replaceChildren(...[...opened.tags].flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
    this.#say("");
    this.#setDuration(opened.samples);
    this.dispatchEvent(new Event("open"));
  }

  /** @param {number | null} samples null: not known yet */
  #setDuration(samples) {
    const { player, header } = this;
    if (!player || !header) return;
    player.durationSeconds = samples === null ? Infinity : samples / header.originalRateHz;
    this.parts.seek.disabled = samples === null;
    this.parts.seek.max = String(samples === null ? 0 : player.durationSeconds);
    this.#show();
  }

  /** Waves from a time on. @param {number} startSeconds */
  #waves(startSeconds) {
    const { opened, header, codebooks: numCodebooks } = this;
    if (this.isOriginal && this.#original) return this.#original(startSeconds);
    const startSample = Math.round(startSeconds * /** @type {Header} */ (header).sampleRateHz);
    return this.remote.decode(/** @type {Opened} */ (opened).file, { startSample, numCodebooks });
  }

  /** @param {number} count */
  #setCodebooks(count) {
    this.codebooks = count;
    this.#hear(false);
    this.dispatchEvent(new Event("rate"));
  }

  /** Switch to the original, or to what is decoded, where it sounds. @param {boolean} isOriginal */
  #hear(isOriginal) {
    this.isOriginal = isOriginal;
    this.player?.replace((start) => this.#waves(start));
    this.#show();
  }

  /** Arrows go by seconds, and space plays, while the position has the focus. @param {KeyboardEvent} event */
  #key(event) {
    const step = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 })[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey || (!step && event.key !== " ")) return;
    event.preventDefault();
    if (step) this.player?.seek(this.player.position + step * SKIP_SECONDS);
    else this.parts.play.click();
  }

  #show() {
    const { player, header } = this;
    if (!player || !header) return;
    const { play, seek, time, rate, kbps, original } = this.parts;
    // What is as it was is left alone: sixty times a second, it would be laid out anew.
    setText(play, player.isPlaying ? "Pause" : "Play");
    const position = player.position.toFixed(1);
    if (seek.value !== position) seek.value = position;
    const of = Number.isFinite(player.durationSeconds) ? ` / ${clock(player.durationSeconds, 0)}` : "";
    if (setText(time, `${clock(player.position, 0)}${of}`)) seek.setAttribute("aria-valuetext", String(time.textContent));
    const each = (header.bitsPerCode * header.sampleRateHz) / header.hopLength / 1000;
    const rates = `${(this.codebooks * each).toFixed(1)} kbps, ${this.codebooks} of ${header.numCodebooks} codebooks`;
    if (setText(kbps, rates)) rate.setAttribute("aria-valuetext", rates);
    original.setAttribute("aria-pressed", String(this.isOriginal));
    this.dispatchEvent(new Event("time"));
    cancelAnimationFrame(this.#drawn);
    if (player.isPlaying) this.#drawn = requestAnimationFrame(() => this.#show());
  }

  /** @param {Damage[]} damage */
  #showDamage(damage) {
    const { damage: list, strip } = this.parts;
    this.damage = damage;
    list.hidden = strip.hidden = !damage.length;
    list.replaceChildren(...damage.slice(0, MOST_LINES).map(({ message }) => made("li", message)));
    if (damage.length > MOST_LINES) list.append(made("li", `${damage.length - MOST_LINES} more`));
    const { durationSeconds = 0 } = this.player ?? {};
    const lost = damage.filter(({ startSeconds }) => startSeconds !== null && durationSeconds > 0);
    strip.replaceChildren(
      ...lost.map(({ startSeconds, endSeconds }) => {
        const start = Number(startSeconds) / durationSeconds;
        const mark = made("i", "");
        mark.style.left = `${100 * start}%`;
        mark.style.width = `${100 * Math.max(0, (endSeconds ?? durationSeconds) / durationSeconds - start)}%`;
        return mark;
      }),
    );
  }

  /** @param {unknown} error */
  #fail(error) {
    const { play, seek, rate } = this.parts;
    if (!this.opened) play.disabled = seek.disabled = rate.disabled = true;
    this.#say(error instanceof Error ? error.message : String(error));
    this.dispatchEvent(new CustomEvent("fail", { detail: error }));
  }

  /** @param {string} text */
  #say(text) {
    this.parts.status.textContent = text;
  }
}

/** Tell whether the text is another than before. @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent === text) return false;
  element.textContent = text;
  return true;
}

/** @param {string} name @param {string} text */
function made(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

customElements.define("vqc-player", VqcPlayer);
