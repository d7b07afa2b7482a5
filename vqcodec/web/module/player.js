/** Playing waves that are decoded while they sound: play, pause, seek, and another stream at the same position. */

/** @typedef {(startSeconds: number) => AsyncIterableIterator<Float32Array[]>} Open Waves [C][m] from a time on. */

const AHEAD_SECONDS = 2; // decoded ahead of what sounds
const START_SECONDS = 0.02; // from the first block to its sound, beside what the sound card takes at once
const SWITCH_SECONDS = 0.3; // that the former stream goes on, while the new one is decoded

/**
 * A player of one sound; `durationSeconds` may become known later, and is Infinity until then. Dispatches "change" when
 * it plays, pauses, seeks or ends, and "fail" with `detail`, an Error.
 */
export class Player extends EventTarget {
  /** @param {Open} open @param {{rateHz: number, durationSeconds: number}} about */
  constructor(open, { rateHz, durationSeconds }) {
    super();
    this.rateHz = rateHz;
    this.durationSeconds = durationSeconds;
    this.#open = open;
  }

  #open;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioBufferSourceNode[]} */
  #sources = [];
  /** @type {AsyncIterableIterator<Float32Array[]> | null} what is decoded */
  #waves = null;
  #run = 0; // what was begun before is over when it sees another number
  #from = 0;
  #until = 0; // that sound is scheduled, on the context's clock
  /** When `#from` sounds, on the context's clock; null while nothing does. @type {number | null} */
  #anchor = null;

  /** @type {boolean} */
  isPlaying = false;

  /** Seconds from the beginning. */
  get position() {
    // A decoder that is late stops the sound, and the position with it.
    const now = Math.min(this.#context?.currentTime ?? 0, this.#until);
    const passed = this.#anchor === null ? 0 : Math.max(0, now - this.#anchor);
    return Math.min(this.durationSeconds, this.#from + passed);
  }

  /** Seconds that are decoded and have not sounded yet. */
  get aheadSeconds() {
    return this.#anchor === null || !this.#context ? 0 : Math.max(0, this.#until - this.#context.currentTime);
  }

  /** Get the sound card ready. Call it from a gesture, before anything is awaited: browsers ask for one. */
  wake() {
    this.#context ??= new AudioContext({ sampleRate: this.rateHz });
    return this.#context.resume();
  }

  /** Go on, from the beginning where the end is reached. Call it from a gesture. */
  async play() {
    if (this.isPlaying) return;
    const awake = this.wake();
    if (this.position >= this.durationSeconds) this.#from = 0;
    this.isPlaying = true;
    const begun = this.#stream(this.#from, null);
    this.#changed();
    await awake;
    await begun;
  }

  /** Stop, and stay at the position. */
  pause() {
    this.#from = this.position;
    this.#halt();
    this.isPlaying = false;
    this.#changed();
  }

  /** Go to a time. @param {number} seconds */
  seek(seconds) {
    this.#halt();
    this.#from = Math.min(Math.max(0, seconds), this.durationSeconds);
    if (this.isPlaying) void this.#stream(this.#from, null);
    this.#changed();
  }

  /** Play another stream from the same position on; the former one sounds until it is there. @param {Open} open */
  replace(open) {
    this.#open = open;
    if (!this.isPlaying || !this.#context || this.#anchor === null) return this.seek(this.position);
    const at = Math.min(this.position + SWITCH_SECONDS, this.durationSeconds);
    void this.#stream(at, this.#context.currentTime + at - this.position);
  }

  /** Give the sound card back. */
  async close() {
    this.pause();
    await this.#context?.close();
    this.#context = null;
  }

  /**
   * Play from a time on. `when`: on the context's clock, until which what sounds goes on; null: as soon as can be.
   * @param {number} from @param {number | null} when
   */
  async #stream(from, when) {
    const run = ++this.#run;
    void this.#waves?.return?.();
    const stream = (this.#waves = this.#open(from));
    const context = /** @type {AudioContext} */ (this.#context);
    let next = when;
    let isFirst = true;
    try {
      for await (const waves of stream) {
        if (run !== this.#run) return;
        const soonest = context.currentTime + context.baseLatency + START_SECONDS;
        if (next === null || next < context.currentTime) {
          // The decoder is late: the sound waits for it, and the clock with it.
          if (!isFirst) [this.#from, this.#anchor] = [this.position, soonest];
          next = soonest;
        }
        if (isFirst) this.#takeOver(from, next);
        isFirst = false;
        next += this.#schedule(waves, next);
        this.#until = next;
        while (next - context.currentTime > AHEAD_SECONDS) {
          await sleep(100);
          if (run !== this.#run) return;
        }
        await sleep(0); // so that the page is drawn
        if (run !== this.#run) return;
      }
      while (next !== null && context.currentTime < next) {
        await sleep(50);
        if (run !== this.#run) return;
      }
      if (run !== this.#run) return;
      this.#halt();
      this.#from = this.durationSeconds;
      this.isPlaying = false;
      this.#changed();
    } catch (error) {
      if (run !== this.#run) return;
      this.pause();
      this.dispatchEvent(new CustomEvent("fail", { detail: error }));
    }
  }

  /** End what sounds where the new stream begins. @param {number} from @param {number} when */
  #takeOver(from, when) {
    for (const source of this.#sources) source.stop(when);
    this.#sources = [];
    this.#from = from;
    this.#anchor = when;
  }

  /** Let a block sound, and return how long it is. @param {Float32Array[]} waves @param {number} when */
  #schedule(waves, when) {
    const context = /** @type {AudioContext} */ (this.#context);
    const buffer = context.createBuffer(waves.length, waves[0].length, this.rateHz);
    waves.forEach((wave, channel) => buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (wave), channel));
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => (this.#sources = this.#sources.filter((each) => each !== source));
    source.start(when);
    this.#sources.push(source);
    return buffer.duration;
  }

  #halt() {
    this.#run++;
    void this.#waves?.return?.();
    this.#waves = null;
    for (const source of this.#sources) source.stop();
    this.#sources = [];
    this.#anchor = null;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {number} milliseconds */
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
