// ABX: X is A or B by the draw of a seed, trial by trial; how many trials is settled before, and nothing is told on the way.

const MOST_TRIALS = 100;
const abx = { settings: null, seed: null, keys: [], labels: [], trials: [], time: null };

function keyOf(take) {
  return JSON.stringify([take.role, take.codec, take.condition, take.kbps_asked]);
}

function offerPairs() {
  const takes = new Map(Player.all.flatMap(({ exhibit }) => exhibit.takes.map((take) => [keyOf(take), take.label])));
  for (const [number, id] of ["pair-a", "pair-b"].entries()) {
    $(id).append(...[...takes].map(([key, label]) => element("option", { value: key }, label)));
    $(id).selectedIndex = Math.min(number, takes.size - 1);
  }
}

// Draw the trials of a test, or go on with one of the same settings. False where there is nothing to compare.
function startAbx() {
  const count = Math.max(1, Math.min(MOST_TRIALS, Math.trunc(Number($("trials").value)) || 16));
  $("trials").value = count;
  const keys = ["pair-a", "pair-b"].map((id) => $(id).value);
  const [seed, holders] = [askedSeed(), Player.all.filter((player) => keys.every((key) => takeOf(player, key) >= 0))];
  const settings = JSON.stringify([seed, count, keys]);
  $("outcome").textContent = "";
  if (keys[0] === keys[1] || !holders.length) {
    $("outcome").textContent = "Choose two different renderings of one clip.";
    return false;
  }
  if (settings === abx.settings && abx.trials.some(({ answer }) => !answer)) return true;
  const random = randomFrom(seed);
  const players = [];
  while (players.length < count) players.push(...shuffled(holders, random));
  const trials = players.slice(0, count).map((player) => ({ player, x: random() < 0.5 ? "A" : "B", answer: null }));
  const labels = keys.map((key) => holders[0].exhibit.takes[takeOf(holders[0], key)].label);
  Object.assign(abx, { settings, seed, keys, labels, trials, time: new Date().toISOString() });
  return true;
}

function takeOf(player, key) {
  return player.exhibit.takes.findIndex((take) => keyOf(take) === key);
}

function showTrial() {
  const number = abx.trials.findIndex(({ answer }) => !answer);
  for (const player of Player.all) { player.pause(); player.root.hidden = true; }
  const told = number < 0 ? "All trials are answered." : `Trial ${number + 1} of ${abx.trials.length}`;
  $("outcome").textContent = told;
  if (number < 0) { $("abx").focus(); return; }
  const { player, x } = abx.trials[number];
  const [a, b] = abx.keys.map((key) => takeOf(player, key));
  player.root.hidden = false;
  player.position = 0;
  player.show([{ label: "A", take: a }, { label: "B", take: b }, { label: "X", take: x === "A" ? a : b }],
    { isBlind: true, body: (shown) => [shown.choices(), answers(number)] });
  Player.last = player;
  player.button.focus();
}

function answers(number) {
  const buttons = ["A", "B"].map((letter) => {
    const button = element("button", { type: "button" }, `X is ${letter}`);
    button.addEventListener("click", () => { abx.trials[number].answer = letter; showTrial(); });
    return button;
  });
  return element("div", { class: "answers", role: "group", "aria-label": "Answer" }, ...buttons);
}

function revealAbx() {
  const [all, done] = [abx.trials.length, abx.trials.filter(({ answer }) => answer).length];
  if (done < all) {
    $("outcome").textContent = `${done} of ${all} trials are answered; the same seed and pair go on. Only whole tests count.`;
    return;
  }
  const correct = abx.trials.filter(({ x, answer }) => x === answer).length;
  const p = tail(correct, all);
  $("outcome").textContent = `A was ${abx.labels[0]}, B was ${abx.labels[1]}: ${correct} of ${all} correct, ` +
    `p ${p < 1e-4 ? "< 0.0001" : `= ${p.toFixed(4)}`} (one-sided). Another test takes the place of these answers.`;
  $("seed").value = Math.floor(Math.random() * 1000000);  // the same order again would be known
}

// How likely `correct` or more of `all` are when each is a toss of a coin.
function tail(correct, all) {
  let [term, sum] = [0.5 ** all, 0];
  for (let right = 0; right <= all; right += 1) {
    if (right >= correct) sum += term;
    term *= (all - right) / (right + 1);
  }
  return Math.min(1, sum);
}

function answered() {
  const { player } = abx.trials[0];
  const [a, b] = abx.keys.map((key) => renderingOf(player.exhibit.takes[takeOf(player, key)]));
  const trials = abx.trials.map(({ player: { exhibit }, x, answer }) => ({ clip: exhibit.clip, x, answer }));
  const trained = abx.trials.every(({ player: each }) => abx.keys.every((key) => each.hasHeard(takeOf(each, key))));
  return { seed: abx.seed, time: abx.time, trained, a, b, trials };
}
