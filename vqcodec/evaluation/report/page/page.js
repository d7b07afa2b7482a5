// The table sorts, keys play and switch, and the page begins.

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

function onKey(event) {
  const player = [Player.last, ...Player.all].find((each) => each && !each.root.hidden);
  const tag = event.target.tagName;
  const isEntry = tag === "SELECT" || (tag === "INPUT" && event.target.type !== "range");
  if (!player || event.ctrlKey || event.altKey || event.metaKey || isEntry) return;
  if (event.key === " " && tag !== "BUTTON" && tag !== "SUMMARY") player.toggle();
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
  $("exhibits").append(...Player.all.map((player) => player.root));
  $("seed").value = Math.floor(Math.random() * 1000000);
  for (const [mode, { button }] of Object.entries(MODES)) if (button) $(button).addEventListener("click", () => switchTo(mode));
  $("download").addEventListener("click", () => download(test.method));
  $("download-abx").addEventListener("click", () => download("ABX"));
  document.addEventListener("keydown", onKey);
  offerPairs();
  showAll();
}
