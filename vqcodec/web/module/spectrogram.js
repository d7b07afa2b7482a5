/** A spectrogram that is drawn as waves come: a figure with a canvas, a line where it sounds, and a caption. */

import { clock } from "./clock.js";

const WINDOW = 512; // samples: 32 ms at 16 kHz
const BINS = WINDOW / 2;
const COLUMNS = 800;
const MOST_WINDOWS = 3; // of a column, whose power is their mean
const [LOUDEST_DB, RANGE_DB] = [-5, 80];
const STOPS = [[8, 6, 24], [66, 15, 110], [168, 46, 95], [240, 112, 48], [253, 240, 180]];

const HANN = Float32Array.from({ length: WINDOW }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW));
const TURNS = Float32Array.from({ length: WINDOW }, (_, at) => Math.cos((2 * Math.PI * at) / WINDOW));
const COLOURS = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (STOPS.length - 1);
  const stop = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[stop].map((value, index) => value + (STOPS[stop + 1][index] - value) * (place - stop));
});

/** A figure of one sound. */
export class Spectrogram {
  /** @param {string} name what is seen */
  constructor(name) {
    this.name = name;
    this.#canvas.width = COLUMNS;
    this.#canvas.height = BINS;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", `Spectrogram: ${name}`);
    this.#head.className = "head";
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.append(this.#canvas, this.#head);
    this.element.append(plot, this.#caption);
    plot.onclick = ({ clientX }) => {
      const { left, width } = plot.getBoundingClientRect();
      this.onpick(this.#start + ((clientX - left) / width) * this.#seconds);
    };
  }

  element = document.createElement("figure");
  /** Is told the time that was clicked at. @type {(seconds: number) => void} */
  onpick = () => {};
  #canvas = document.createElement("canvas");
  #head = document.createElement("i");
  #caption = document.createElement("figcaption");
  #run = 0;
  #start = 0;
  #seconds = 1;

  /**
   * Draw the first channel of `waves`, which begin at `start`; what was being drawn ends.
   * @param {AsyncIterable<Float32Array[]>} waves @param {{rateHz: number, start: number, seconds: number}} span
   */
  async draw(waves, { rateHz, start, seconds }) {
    const run = ++this.#run;
    [this.#start, this.#seconds] = [start, seconds];
    this.#caption.textContent = `${this.name}, ${clock(start, 0)} to ${clock(start + seconds, 0)}, 0 to ${rateHz / 2000} kHz`;
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.fillStyle = `rgb(${COLOURS[0]})`;
    context.fillRect(0, 0, COLUMNS, BINS);
    const samples = Math.round(seconds * rateHz);
    const wave = new Float32Array(samples + WINDOW); // half a window before and behind
    let [come, drawn] = [0, 0];
    for await (const [block] of waves) {
      if (run !== this.#run) return;
      const part = block.subarray(0, samples - come);
      wave.set(part, WINDOW / 2 + come);
      come += part.length;
      const ready = come === samples ? COLUMNS : Math.floor(((come - WINDOW) / samples) * COLUMNS);
      for (; drawn < ready; drawn++) column(context, drawn, wave, samples / COLUMNS);
      if (come === samples) break;
    }
    for (; drawn < (come / samples) * COLUMNS; drawn++) column(context, drawn, wave, samples / COLUMNS);
  }

  /** Move the line. @param {number} seconds */
  setPosition(seconds) {
    const share = (seconds - this.#start) / this.#seconds;
    this.#head.hidden = !(share >= 0 && share <= 1);
    this.#head.style.left = `${(100 * share).toFixed(1)}%`; // nothing is laid out anew before it moves
  }
}

/** Paint one column. @param {CanvasRenderingContext2D} context @param {number} index @param {Float32Array} wave @param {number} step samples */
function column(context, index, wave, step) {
  const count = Math.max(1, Math.min(MOST_WINDOWS, Math.floor((2 * step) / WINDOW)));
  const sum = new Float32Array(BINS);
  for (let which = 0; which < count; which++) {
    const at = Math.min(Math.round((index + which / count) * step), wave.length - WINDOW);
    const power = powers(wave, at);
    for (let bin = 0; bin < BINS; bin++) sum[bin] += power[bin] / count;
  }
  const image = context.createImageData(1, BINS);
  sum.forEach((power, bin) => {
    const db = 10 * Math.log10(power + 1e-12) - 20 * Math.log10(WINDOW / 4);
    const level = Math.round(255 * Math.min(1, Math.max(0, 1 + (db - LOUDEST_DB) / RANGE_DB)));
    image.data.set([...COLOURS[level], 255], 4 * (BINS - 1 - bin));
  });
  context.putImageData(image, index, 0);
}

/** Power of each bin of a window, by a radix-2 FFT. @param {Float32Array} wave @param {number} from */
function powers(wave, from) {
  const [real, imaginary] = [new Float32Array(WINDOW), new Float32Array(WINDOW)];
  for (let at = 0, reversed = 0; at < WINDOW; at++) {
    real[reversed] = wave[from + at] * HANN[at];
    let bit = WINDOW >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
  for (let size = 2; size <= WINDOW; size *= 2)
    for (let start = 0; start < WINDOW; start += size)
      for (let k = 0; k < size / 2; k++) {
        const turn = (k * WINDOW) / size;
        const [cos, sin] = [TURNS[turn], -TURNS[(turn + (3 * WINDOW) / 4) % WINDOW]];
        const [even, odd] = [start + k, start + k + size / 2];
        const re = real[odd] * cos - imaginary[odd] * sin;
        const im = real[odd] * sin + imaginary[odd] * cos;
        [real[odd], imaginary[odd]] = [real[even] - re, imaginary[even] - im];
        [real[even], imaginary[even]] = [real[even] + re, imaginary[even] + im];
      }
  return Float32Array.from({ length: BINS }, (_, bin) => real[bin] ** 2 + imaginary[bin] ** 2);
}
