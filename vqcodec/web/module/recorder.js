/** Sound from the microphone, as it is: no echo cancelled, no noise suppressed; and what is kept of what was encoded. */

const MOST_SECONDS = 600;
const BITS = 16;
const FULL_SCALE = 32767;
const MOST_ORIGINAL_SAMPLES = 2 ** 24; // of all channels: 17 minutes of one

/** A recording that goes on. Make one by `start`. */
export class Recorder {
  /**
   * Begin to record, when whoever sits there allows it. `onTime` is told the seconds; after ten minutes no more is kept.
   * Throws Error with a line for the user where it may not or cannot.
   * @param {(seconds: number) => void} onTime
   */
  static async start(onTime) {
    if (!navigator.mediaDevices) throw new Error("browsers lend the microphone to pages of https and of this machine only");
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
      throw new Error(error.name === "NotAllowedError" ? "the microphone is not allowed" : `no microphone (${error.message})`);
    });
    const context = new AudioContext(); // at the rate of the microphone, which some browsers do not change
    await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
    await context.resume();
    return new Recorder(stream, context, onTime);
  }

  /** @param {MediaStream} stream @param {AudioContext} context @param {(seconds: number) => void} onTime */
  constructor(stream, context, onTime) {
    this.#stream = stream;
    this.#context = context;
    const node = new AudioWorkletNode(context, "vqc-recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => {
      if (this.#samples >= MOST_SECONDS * context.sampleRate) return;
      this.#blocks.push(data);
      this.#samples += data.length;
      onTime(this.#samples / context.sampleRate);
    };
    context.createMediaStreamSource(stream).connect(node);
  }

  #stream;
  #context;
  #samples = 0;
  /** @type {Float32Array[]} */
  #blocks = [];

  /** End, and return what was heard: one channel. Throws Error where nothing was. */
  async stop() {
    for (const track of this.#stream.getTracks()) track.stop();
    const { sampleRate: rateHz } = this.#context;
    await this.#context.close();
    if (!this.#samples) throw new Error("nothing was heard");
    const wave = new Float32Array(this.#samples);
    this.#blocks.reduce((at, block) => (wave.set(block, at), at + block.length), 0);
    return { wave, rateHz };
  }
}

/** Bring a wave to another rate, by the browser's resampler. @param {Float32Array} wave @param {number} fromHz @param {number} toHz */
export async function resampled(wave, fromHz, toHz) {
  const context = new OfflineAudioContext(1, Math.ceil((wave.length * toHz) / fromHz), toHz);
  const buffer = context.createBuffer(1, wave.length, fromHz);
  buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (wave), 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

/** Make a WAV of 16 bits. @param {Float32Array} wave @param {number} rateHz */
export function wavOf(wave, rateHz) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (/** @type {number} */ at, /** @type {string} */ name) =>
    [...name].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt(0)));
  const bytes = 2 * wave.length;
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  [16, 1 | (1 << 16), rateHz, 2 * rateHz, 2 | (BITS << 16)].forEach((value, index) => head.setUint32(16 + 4 * index, value, true));
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head.buffer, inSixteenBits(wave)], { type: "audio/wav" });
}

/** Round a wave to 16 bits, clipped at full scale. @param {Float32Array} wave */
function inSixteenBits(wave) {
  return Int16Array.from(wave, (sample) => Math.round(FULL_SCALE * Math.min(1, Math.max(-1, sample))));
}

/** What was encoded, in 16 bits, as much of it as may stay in memory, and the file that it is of. */
export class Original {
  /** @param {Float32Array[]} waves @param {number} rateHz @param {Blob} blob */
  constructor(waves, rateHz, blob) {
    const most = Math.floor(MOST_ORIGINAL_SAMPLES / waves.length);
    this.isWhole = waves[0].length <= most;
    this.rateHz = rateHz;
    this.blob = blob;
    this.#waves = waves.map((wave) => inSixteenBits(wave.subarray(0, most)));
  }

  #waves;

  /** Give waves [C][m] from a time on, second by second. @param {number} startSeconds @returns {AsyncGenerator<Float32Array[]>} */
  async *from(startSeconds) {
    const { length } = this.#waves[0];
    for (let at = Math.round(startSeconds * this.rateHz); at < length; at += this.rateHz)
      yield this.#waves.map((wave) => Float32Array.from(wave.subarray(at, at + this.rateHz), (sample) => sample / FULL_SCALE));
  }
}
