// The training and the tests after MUSHRA and MUSHRA 1S, and what the tests have in common: a seed, a mode, a file to download.

const MODES = {
  open: { title: data.title },
  training: { button: "training", open: "Train first", leave: "End the training", title: "Training" },
  MUSHRA: { button: "blind", open: "Start a blind test", leave: "Leave and show the names", title: "Blind test" },
  ABX: { button: "abx", open: "Start an ABX test", leave: "Leave the ABX test", title: "ABX test" },
};
const ONE_SYSTEM = "MUSHRA 1S";
const test = { mode: "open", seed: null, method: null };

const $ = (id) => document.getElementById(id);
const isTest = (mode) => mode === "MUSHRA" || mode === "ABX";

function allItems(player) {
  return player.exhibit.takes.map(({ label }, take) => ({ label, take }));
}

function openItems(player) {
  return allItems(player).filter(({ take }) => !player.exhibit.takes[take].role.includes("anchor"));
}

// The takes behind the letters of each trial of a clip: of MUSHRA all in one; of MUSHRA 1S one codec in each, with the
// reference and the low anchor.
function trialsOf(player) {
  const random = randomFrom(test.seed * 1000 + player.number);
  const takes = player.exhibit.takes.map((_, take) => take);
  const [codecs, fixed] = [["codec"], ["reference", "anchor"]].map((roles) =>
    takes.filter((take) => roles.includes(player.exhibit.takes[take].role)));
  if (test.method !== ONE_SYSTEM || !codecs.length) return [shuffled(takes, random)];
  return shuffled(codecs, random).map((take) => shuffled([...fixed, take], random));
}

function blindItems(player, trial = player.trial) {
  const letters = trialsOf(player)[trial].map((take, index) => ({ label: letterOf(index), take, key: `${trial}/${take}` }));
  return [{ label: "Reference", take: 0 }, ...letters];
}

function showBlind(player) {
  player.show(blindItems(player), { isBlind: true, body: (shown) => [...shown.ratings(), ...turning(shown)] });
}

// From one trial of a clip to the next and back.
function turning(player) {
  const count = trialsOf(player).length;
  if (count < 2) return [];
  const turn = (step, text) => {
    const button = element("button", { type: "button" }, text);
    button.disabled = player.trial + step < 0 || player.trial + step >= count;
    button.addEventListener("click", () => { player.trial += step; showBlind(player); player.button.focus(); });
    return button;
  };
  const at = element("span", { role: "status" }, `Trial ${player.trial + 1} of ${count}`);
  return [element("div", { class: "answers", role: "group", "aria-label": "Trials" }, turn(-1, "Back"), at, turn(1, "Next"))];
}

function letterOf(index) {
  return index < 26 ? String.fromCharCode(65 + index) : `A${letterOf(index - 26)}`;
}

function showAll() {
  for (const player of Player.all) {
    player.root.hidden = test.mode === "ABX";
    if (test.mode === "MUSHRA") showBlind(player);
    else if (test.mode === "training") player.show(allItems(player));
    else player.show(openItems(player));
  }
  if (test.mode === "ABX") showTrial();
  if (test.mode === "training") drawTraining();
}

function switchTo(mode) {
  const left = test.mode;
  test.mode = left === mode ? "open" : mode;
  if (test.mode === "MUSHRA") {
    const [seed, method] = [askedSeed(), $("method").value];
    const isSame = seed === test.seed && method === test.method;  // which goes on
    if (!isSame) for (const player of Player.all) { player.scores.clear(); player.trial = 0; }
    Object.assign(test, { seed, method });
  }
  if (test.mode === "ABX" && !startAbx()) test.mode = "open";
  drawMode();
  showAll();
  if (left === "MUSHRA") Player.all.forEach(reveal);
  if (left === "ABX") revealAbx();
}

function askedSeed() {
  const asked = Math.min(999999, Math.abs(Math.trunc(Number($("seed").value)))) || 0;
  $("seed").value = asked;
  return asked;
}

function drawMode() {
  const inTest = isTest(test.mode);
  for (const [name, { button, open, leave }] of Object.entries(MODES)) {
    if (!button) continue;
    $(button).setAttribute("aria-pressed", String(name === test.mode));
    $(button).textContent = name === test.mode ? leave : open;
    $(button).hidden = test.mode !== "open" && name !== test.mode;
  }
  $("seed").disabled = $("method").disabled = inTest;
  $("pair").hidden = test.mode !== "open";
  $("explain").hidden = test.mode !== "MUSHRA" || test.method === ONE_SYSTEM;
  $("explain-1s").hidden = test.mode !== "MUSHRA" || test.method !== ONE_SYSTEM;
  $("explain-abx").hidden = test.mode !== "ABX";
  $("explain-training").hidden = test.mode !== "training";
  $("results").hidden = inTest;
  $("outcome").hidden = test.mode !== "open" && test.mode !== "ABX";
  $("download").hidden = test.mode !== "MUSHRA" && !(test.mode === "open" && Player.all.some(({ scores }) => scores.size));
  $("download-abx").hidden = test.mode !== "ABX" && !(test.mode === "open" && abx.trials.some(({ answer }) => answer));
  document.title = MODES[test.mode].title;
  document.querySelector("h1").textContent = document.title;
}

function drawTraining() {
  for (const player of Player.all) {
    player.buttons.forEach((button, index) => button.classList.toggle("heard", player.hasHeard(player.items[index].take)));
  }
  const [heard, all] = [true, false].map((only) => Player.all.flatMap((player) =>
    player.exhibit.takes.filter((_, take) => !only || player.hasHeard(take))).length);
  const text = `${heard} of ${all} heard.`;
  if ($("trained").textContent !== text) $("trained").textContent = text;
}

function reveal(player) {
  if (!player.scores.size) return;
  const said = (trial) => blindItems(player, trial).slice(1).map(({ label, take, key }) =>
    `${label} was ${player.exhibit.takes[take].label}: ${player.scores.get(key) ?? "not rated"}`);
  const trials = trialsOf(player);
  const rated = trials.flatMap((_, trial) => said(trial).map((text) => (trials.length > 1 ? `${trial + 1} ${text}` : text)));
  player.root.append(element("p", { class: "revealed" }, rated.join(" · ")));
}

function renderingOf({ role, codec, condition, kbps_asked, kbps }) {
  return { role, codec, condition, kbps_asked, kbps };
}

function scored() {
  const row = (player, trial, { label, take, key }) => (
    { clip: player.exhibit.clip, trial: trial + 1, letter: label, ...renderingOf(player.exhibit.takes[take]), score: player.scores.get(key) ?? null });
  const scores = Player.all.flatMap((player) => trialsOf(player).flatMap((_, trial) =>
    blindItems(player, trial).slice(1).map((item) => row(player, trial, item))));
  const trained = Player.all.every((player) => player.exhibit.takes.every((_, take) => player.hasHeard(take)));
  return { seed: test.seed, trained, scores };
}

function download(method) {
  const listener = $("listener").value.replace(/\p{Cs}/gu, "").trim();  // half an emoji, which maxlength may leave
  const time = new Date().toISOString();
  const said = { title: data.title, method, listener, time, ...(method === "ABX" ? answered() : scored()) };
  const name = [method.toLowerCase().replace(" ", "-"), listener.replace(/[^\p{L}\p{N}]+/gu, "-"), said.seed, time.replace(/[:.]/g, "-")];
  const url = URL.createObjectURL(new Blob([JSON.stringify(said, null, 1)], { type: "application/json" }));
  element("a", { href: url, download: `${name.filter((part) => part !== "").join("_")}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
