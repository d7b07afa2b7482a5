// The training and the test after MUSHRA, and what the tests have in common: a seed, a mode, a file to download.

const MODES = {
  open: { title: data.title },
  training: { button: "training", open: "Train first", leave: "End the training", title: "Training" },
  MUSHRA: { button: "blind", open: "Start a blind test", leave: "Leave and show the names", title: "Blind test" },
  ABX: { button: "abx", open: "Start an ABX test", leave: "Leave the ABX test", title: "ABX test" },
};
const test = { mode: "open", seed: null };

const $ = (id) => document.getElementById(id);
const isTest = (mode) => mode === "MUSHRA" || mode === "ABX";

function allItems(player) {
  return player.exhibit.takes.map(({ label }, take) => ({ label, take }));
}

function openItems(player) {
  return allItems(player).filter(({ take }) => !player.exhibit.takes[take].role.includes("anchor"));
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
  for (const player of Player.all) {
    player.root.hidden = test.mode === "ABX";
    if (test.mode === "MUSHRA") player.show(blindItems(player), { isBlind: true, body: (shown) => shown.ratings() });
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
    const asked = askedSeed();
    if (asked !== test.seed) for (const player of Player.all) player.scores.clear();  // the same test goes on
    test.seed = asked;
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
  $("seed").disabled = inTest;
  $("pair").hidden = test.mode !== "open";
  $("explain").hidden = test.mode !== "MUSHRA";
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
  const rated = blindItems(player).slice(1).map(({ label, take }) =>
    `${label} was ${player.exhibit.takes[take].label}: ${player.scores.get(take) ?? "not rated"}`);
  player.root.append(element("p", { class: "revealed" }, rated.join(" · ")));
}

function renderingOf({ role, codec, condition, kbps_asked, kbps }) {
  return { role, codec, condition, kbps_asked, kbps };
}

function scored() {
  const scores = Player.all.flatMap((player) => blindItems(player).slice(1).map(({ label, take }) => (
    { clip: player.exhibit.clip, letter: label, ...renderingOf(player.exhibit.takes[take]), score: player.scores.get(take) ?? null })));
  const trained = Player.all.every((player) => player.exhibit.takes.every((_, take) => player.hasHeard(take)));
  return { seed: test.seed, trained, scores };
}

function download(method) {
  const listener = $("listener").value.replace(/\p{Cs}/gu, "").trim();  // half an emoji, which maxlength may leave
  const time = new Date().toISOString();
  const said = { title: data.title, method, listener, time, ...(method === "ABX" ? answered() : scored()) };
  const name = [method.toLowerCase(), listener.replace(/[^\p{L}\p{N}]+/gu, "-"), said.seed, time.replace(/[:.]/g, "-")];
  const url = URL.createObjectURL(new Blob([JSON.stringify(said, null, 1)], { type: "application/json" }));
  element("a", { href: url, download: `${name.filter((part) => part !== "").join("_")}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
