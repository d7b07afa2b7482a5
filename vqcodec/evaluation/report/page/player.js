"use strict";
// Each clip has one transport for all its renderings, which play at once, one of them audible: that switches between two
// samples. Web Audio, since <audio> elements cannot be started on the same sample.

const data = JSON.parse(document.getElementById("data").textContent);
const SCALE = ["bad", "poor", "fair", "good", "excellent"];
const FADE_SECONDS = 0.005;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Numbers in [0, 1) that a seed repeats (mulberry32).
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) {
  const left = [...items];
  return items.map(() => left.splice(Math.floor(random() * left.length), 1)[0]);
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

let context = null;  // one for the page, made at the first use of a player: browsers want a gesture

class Player {
  constructor(exhibit, number) {
    this.exhibit = exhibit;
    this.number = number;
    this.seconds = exhibit.seconds;
    this.items = [];
    this.current = 0;
    this.position = 0;
    this.startedAt = null;
    this.sources = [];
    this.buffers = null;
    this.trial = 0;
    this.scores = new Map();  // in a test, by the key of an item
    this.heardSeconds = new Map();  // in training, by take
    this.root = element("article", { class: "exhibit" });
    this.root.addEventListener("focusin", () => { Player.last = this; });
    this.root.addEventListener("pointerdown", () => { Player.last = this; });
  }

  get isPlaying() { return this.startedAt !== null; }

  now() {
    return this.isPlaying ? Math.min(this.position + context.currentTime - this.startedAt, this.seconds) : this.position;
  }

  async load() {
    context ??= new AudioContext();
    this.buffers ??= Promise.all(
      this.exhibit.takes.map((take) => context.decodeAudioData(bytesOf(take.audio).buffer)));
    return this.buffers;
  }

  async play() {
    const buffers = await this.load();
    await context.resume();
    if (this.isPlaying || this.root.hidden) return;
    for (const other of Player.all) if (other !== this) other.pause();
    if (this.position >= this.seconds - 0.01) this.position = 0;
    this.startedAt = this.countedTo = context.currentTime;
    this.master = context.createGain();
    this.master.connect(context.destination);
    this.sources = buffers.map((buffer, index) => {
      const [source, gain] = [context.createBufferSource(), context.createGain()];
      source.buffer = buffer;
      gain.gain.value = index === this.items[this.current].take ? 1 : 0;
      source.connect(gain).connect(this.master);
      source.start(this.startedAt, this.position);
      return { source, gain };
    });
    this.draw();
    this.follow();
  }

  pause() {
    if (!this.isPlaying) return;
    this.position = this.now();
    this.startedAt = null;
    for (const { source, gain } of this.sources) { source.stop(); source.disconnect(); gain.disconnect(); }
    this.sources = [];
    this.master.disconnect();
    this.draw();
  }

  toggle() { return this.isPlaying ? this.pause() : this.play(); }

  async seek(seconds) {
    const wasPlaying = this.isPlaying;
    this.pause();
    this.position = Math.max(0, Math.min(seconds, this.seconds));
    this.draw();
    if (wasPlaying) await this.play();
  }

  choose(index) {
    if (!(index in this.items)) return;
    this.current = index;
    if (this.isPlaying) this.fadeTo(this.items[index].take);
    this.draw();
  }

  // From one rendering to another; in a test through silence, or a switch that changes nothing would tell that it does not.
  fadeTo(audible) {
    const now = context.currentTime;
    const at = this.isBlind ? now + 5 * FADE_SECONDS : now;
    if (this.isBlind) {
      this.master.gain.cancelScheduledValues(now);
      this.master.gain.setTargetAtTime(0, now, FADE_SECONDS);
      this.master.gain.setTargetAtTime(1, at + FADE_SECONDS, FADE_SECONDS);
    }
    this.sources.forEach(({ gain }, take) => {
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(take === audible ? 1 : 0, at, this.isBlind ? FADE_SECONDS / 10 : FADE_SECONDS);
    });
  }

  follow() {
    if (!this.isPlaying) return;
    this.count();
    if (this.now() >= this.seconds) { this.pause(); this.position = 0; this.draw(); return; }
    this.drawPosition();
    requestAnimationFrame(() => this.follow());
  }

  // What may be heard: [{ label, take }]. body: what is under the transport, a function of the player.
  show(items, { isBlind = false, body = (player) => [player.choices()] } = {}) {
    this.pause();
    this.items = items;
    this.current = 0;
    this.isBlind = isBlind;
    this.build(isBlind, body);
    this.draw();
  }

  build(isBlind, body) {
    const title = element("h3", {}, [isBlind ? `Clip ${this.number + 1}` : this.exhibit.clip, this.exhibit.part].filter(Boolean).join(", "));
    this.picture = element("img", { alt: "", draggable: "false" });
    this.cursor = element("div", { class: "cursor" });
    const drawing = document.createElement("template"); // parsed, an svg and what is in it need no namespaces
    drawing.innerHTML = '<svg class="rates" role="img" preserveAspectRatio="none"><title></title><path></path></svg>';
    this.rates = drawing.content.firstChild;
    const frame = element("div", { class: "picture" }, this.picture, this.rates, this.cursor);
    frame.hidden = isBlind;
    frame.addEventListener("pointerdown", (event) => {
      const box = frame.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    });
    this.button = element("button", { type: "button", class: "play" });
    this.button.addEventListener("click", () => this.toggle());
    this.slider = element("input", { type: "range", min: 0, max: this.seconds, step: 0.01, "aria-label": "Position in seconds" });
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.clock = element("output", { "aria-live": "off" });
    const transport = element("div", { class: "transport" }, this.button, this.slider, this.clock);
    this.facts = element("p", { class: "scores" });
    this.facts.hidden = isBlind;
    this.root.replaceChildren(title, frame, transport, ...body(this), this.facts);
  }

  takeButton(item, index, role) {
    const button = element("button", { type: "button", ...role });
    if (index < 10) button.append(element("kbd", { "aria-hidden": "true" }, String(index)));
    button.append(item.label);
    button.addEventListener("click", () => this.choose(index));
    return button;
  }

  choices() {
    this.buttons = this.items.map((item, index) => this.takeButton(item, index, { role: "radio" }));
    return element("div", { class: "takes", role: "radiogroup", "aria-label": "Rendering" }, ...this.buttons);
  }

  ratings() {
    this.buttons = this.items.map((item, index) => this.takeButton(item, index, { role: "radio" }));
    const [reference, ...letters] = this.buttons;
    const rows = letters.map((button, index) => this.ratingRow(button, this.items[index + 1]));
    return [
      element("div", { class: "takes" }, reference),
      element("div", { class: "ratings" }, ...rows),
    ];
  }

  ratingRow(button, item) {
    const score = this.scores.get(item.key);
    const slider = element("input", {
      type: "range", min: 0, max: 100, step: 1, value: score ?? 50, "aria-label": `Score of ${item.label}`,
    });
    const shown = element("output", {}, score === undefined ? "not rated" : wordsOf(score));
    slider.addEventListener("input", () => {
      this.scores.set(item.key, Number(slider.value));
      slider.setAttribute("aria-valuetext", wordsOf(Number(slider.value)));
      shown.textContent = wordsOf(Number(slider.value));
    });
    return element("div", { class: "rating" }, button, slider, shown);
  }

  draw() {
    const take = this.exhibit.takes[this.items[this.current].take];
    this.button.textContent = this.isPlaying ? "Pause" : "Play";
    this.buttons.forEach((button, index) => button.setAttribute("aria-checked", String(index === this.current)));
    if (!this.facts.hidden) {
      this.picture.src = `data:image/png;base64,${take.picture}`;
      this.picture.alt = `Spectrogram of ${take.label}`;
      this.facts.textContent = take.facts;
      this.drawRates(take);
    }
    this.drawPosition();
  }

  // Under the spectrogram, on its scale of time: the rate in each tenth of a second, up to the highest of all renderings.
  drawRates({ rates, label }) {
    const peak = this.exhibit.peak_kbps;
    this.rates.toggleAttribute("hidden", !peak);
    if (!peak) return;
    const [title, path] = this.rates.children;
    path.setAttribute("d", rates.map((kbps, at) => `M${at / 10} ${peak}V${peak - kbps}H${Math.min((at + 1) / 10, this.seconds)}V${peak}Z`).join(""));
    this.rates.setAttribute("viewBox", `0 0 ${this.seconds} ${peak}`);
    const mean = rates.reduce((sum, kbps) => sum + kbps, 0) / Math.max(1, rates.length);
    const [highest, scale] = [Math.max(0, ...rates), peak.toFixed(1)];
    const said = rates.length
      ? `Rate of ${label} over time: mean ${mean.toFixed(1)}, highest ${highest.toFixed(1)} kbps; the scale ends at ${scale}`
      : `The rate of ${label} over time is not known`;
    this.rates.setAttribute("aria-label", said);
    title.textContent = said;
  }

  // In training: for how long the rendering that is audible has been heard.
  count() {
    const [passed, { take }] = [context.currentTime - this.countedTo, this.items[this.current]];
    this.countedTo = context.currentTime;
    if (test.mode !== "training") return;
    this.heardSeconds.set(take, (this.heardSeconds.get(take) ?? 0) + passed);
    drawTraining();
  }

  hasHeard(take) { return (this.heardSeconds.get(take) ?? 0) >= Math.min(1, 0.8 * this.seconds); }

  drawPosition() {
    const now = this.now();
    this.cursor.style.left = `${(100 * now) / this.seconds}%`;
    this.slider.value = now;
    this.clock.textContent = `${now.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
  }
}
Player.all = [];
Player.last = null;

function wordsOf(score) {
  return `${score}, ${SCALE[Math.min(4, Math.floor(score / 20))]}`;
}
