"use strict";
// The table sorts; each clip has one transport for all its renderings, which play at once, one of them audible: that
// switches between two samples. Web Audio, since <audio> elements cannot be started on the same sample.

const data = JSON.parse(document.getElementById("data").textContent);
const SCALE = ["bad", "poor", "fair", "good", "excellent"];
const FADE_SECONDS = 0.005;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function sortBy(header) {
  const column = [...header.parentNode.children].indexOf(header);
  const descending = header.getAttribute("aria-sort") === "ascending";
  const body = header.closest("table").tBodies[0];
  const key = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => {
    const [x, y] = [parseFloat(key(a)), parseFloat(key(b))];
    if (column === 0) return key(a).localeCompare(key(b), undefined, { numeric: true });
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);  // without a value: last
    return x - y;
  };
  const hasValue = (row) => column === 0 || !Number.isNaN(parseFloat(key(row)));
  const rows = [...body.rows].sort(compare);
  if (descending) rows.splice(0, rows.filter(hasValue).length, ...rows.filter(hasValue).reverse());
  body.append(...rows);
  for (const other of header.parentNode.children) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
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
    this.scores = new Map();
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
    if (this.isPlaying) return;
    for (const other of Player.all) if (other !== this) other.pause();
    if (this.position >= this.seconds - 0.01) this.position = 0;
    this.startedAt = context.currentTime;
    this.sources = buffers.map((buffer, index) => {
      const [source, gain] = [context.createBufferSource(), context.createGain()];
      source.buffer = buffer;
      gain.gain.value = index === this.items[this.current].take ? 1 : 0;
      source.connect(gain).connect(context.destination);
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
    const audible = this.items[index].take;
    this.sources.forEach(({ gain }, take) => {
      gain.gain.setTargetAtTime(take === audible ? 1 : 0, context.currentTime, FADE_SECONDS);
    });
    this.draw();
  }

  follow() {
    if (!this.isPlaying) return;
    if (this.now() >= this.seconds) { this.pause(); this.position = 0; this.draw(); return; }
    this.drawPosition();
    requestAnimationFrame(() => this.follow());
  }

  // What may be heard: [{ label, take }], the reference first.
  show(items, isBlind) {
    this.pause();
    this.items = items;
    this.current = 0;
    this.build(isBlind);
    this.draw();
  }

  build(isBlind) {
    const title = element("h3", {}, [isBlind ? `Clip ${this.number + 1}` : this.exhibit.clip, this.exhibit.part].filter(Boolean).join(", "));
    this.picture = element("img", { alt: "", draggable: "false" });
    this.cursor = element("div", { class: "cursor" });
    const frame = element("div", { class: "picture" }, this.picture, this.cursor);
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
    this.root.replaceChildren(title, frame, transport, ...(isBlind ? this.ratings() : [this.choices()]), this.facts);
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
    const score = this.scores.get(item.take);
    const slider = element("input", {
      type: "range", min: 0, max: 100, step: 1, value: score ?? 50, "aria-label": `Score of ${item.label}`,
    });
    const shown = element("output", {}, score === undefined ? "not rated" : wordsOf(score));
    slider.addEventListener("input", () => {
      this.scores.set(item.take, Number(slider.value));
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
    }
    this.drawPosition();
  }

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

const test = { isBlind: false, seed: null };

function openItems(player) {
  return player.exhibit.takes.flatMap((take, index) => (take.isAnchor ? [] : [{ label: take.label, take: index }]));
}

function blindItems(player) {
  const random = randomFrom(test.seed * 1000 + player.number);
  const order = shuffled(player.exhibit.takes.map((_, index) => index), random);
  const letters = order.map((take, index) => ({ label: letterOf(index), take }));
  return [{ label: "Reference", take: 0 }, ...letters];
}

function letterOf(index) {
  return index < 26 ? String.fromCharCode(65 + index) : `A${letterOf(index - 26)}`;
}

function showAll() {
  for (const player of Player.all) player.show(test.isBlind ? blindItems(player) : openItems(player), test.isBlind);
}

function switchTest() {
  const [button, seed] = [document.getElementById("blind"), document.getElementById("seed")];
  test.isBlind = !test.isBlind;
  if (test.isBlind) {
    const asked = Math.abs(Math.trunc(Number(seed.value))) || 0;
    if (asked !== test.seed) for (const player of Player.all) player.scores.clear();  // the same test goes on
    test.seed = asked;
    seed.value = asked;
  }
  seed.disabled = test.isBlind;
  button.setAttribute("aria-pressed", String(test.isBlind));
  button.textContent = test.isBlind ? "Leave and show the names" : "Start a blind test";
  document.getElementById("explain").hidden = !test.isBlind;
  document.getElementById("results").hidden = test.isBlind;
  document.getElementById("download").hidden = !test.isBlind && !Player.all.some((player) => player.scores.size);
  document.title = test.isBlind ? "Blind test" : data.title;
  document.querySelector("h1").textContent = document.title;
  showAll();
  if (!test.isBlind) Player.all.forEach(reveal);
}

function reveal(player) {
  if (!player.scores.size) return;
  const rated = blindItems(player).slice(1).map(({ label, take }) =>
    `${label} was ${player.exhibit.takes[take].label}: ${player.scores.get(take) ?? "not rated"}`);
  player.root.append(element("p", { class: "revealed" }, rated.join(" · ")));
}

function scoresAsJson() {
  const scores = Player.all.flatMap((player) => blindItems(player).slice(1).map(({ label, take }) => {
    const { codec, condition, kbps_asked, kbps } = player.exhibit.takes[take];
    return { clip: player.exhibit.clip, letter: label, codec, condition, kbps_asked, kbps, score: player.scores.get(take) ?? null };
  }));
  return JSON.stringify({ title: data.title, method: "MUSHRA", seed: test.seed, time: new Date().toISOString(), scores }, null, 1);
}

function download() {
  const url = URL.createObjectURL(new Blob([scoresAsJson()], { type: "application/json" }));
  const link = element("a", { href: url, download: `scores-${test.seed}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function onKey(event) {
  const player = Player.last ?? Player.all[0];
  const tag = event.target.tagName;
  if (!player || event.ctrlKey || event.altKey || event.metaKey || (tag === "INPUT" && event.target.type === "number")) return;
  if (event.key === " " && tag !== "BUTTON") player.toggle();
  else if (/^[0-9]$/.test(event.key)) player.choose(Number(event.key));
  else if (event.key === "ArrowLeft" && tag !== "INPUT") player.seek(player.now() - 1);
  else if (event.key === "ArrowRight" && tag !== "INPUT") player.seek(player.now() + 1);
  else return;
  event.preventDefault();
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortBy(button.parentNode));
}
if (data.exhibits.length) {
  Player.all = data.exhibits.map((exhibit, number) => new Player(exhibit, number));
  document.getElementById("exhibits").append(...Player.all.map((player) => player.root));
  document.getElementById("seed").value = Math.floor(Math.random() * 1000000);
  document.getElementById("blind").addEventListener("click", switchTest);
  document.getElementById("download").addEventListener("click", download);
  document.addEventListener("keydown", onKey);
  showAll();
}
