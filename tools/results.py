"""The committed results (recipes/results/*.jsonl) -> the tables and curves that README.md and docs/results.md show.

python tools/results.py --add FOLDER    take in the results of an evaluation: of its codecs, the former ones go
python tools/results.py --write         write the tables into README.md and docs/results.md, and the curves
python tools/results.py --check         exit with 1 if they are not what the results give
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vqcodec.evaluation.report.plots import rate_quality_curve, write_figure
from vqcodec.evaluation.report.tables import markdown, points_rows
from vqcodec.evaluation.results import Result, read_results, to_json
from vqcodec.evaluation.summary import summarise
from vqcodec.system.pipes import until_unread

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": ("speech-16k", "opus"), "docs/results.md": None}
"""Where a table stands, and the codecs in it; None: all."""
RESULTS = ROOT / "recipes" / "results"
METRICS = ("pesq_wb", "estoi", "visqol")
CURVE_METRICS = ("pesq_wb", "visqol")
KEPT_COLUMNS = ("speaker", "language")
BEGIN, END = "<!-- results -->", "<!-- end results -->"


def add(folder: Path) -> None:
    """Store the results of an evaluation, a file per codec."""
    RESULTS.mkdir(exist_ok=True)
    results = sorted(read_results(folder), key=lambda result: (result.codec, result.kbps_asked or 0, result.clip))
    for codec in {result.codec for result in results}:
        lines = [to_json(_slim(result)) + "\n" for result in results if result.codec == codec]
        (RESULTS / f"{codec}.jsonl").write_text("".join(lines), encoding="utf-8")


def table(codecs: Sequence[str] | None) -> str:
    """Our model first, then the others, by rate. Asterisks are those of all, whichever are shown."""
    head, *rows = points_rows(summarise(_committed(), METRICS), METRICS)
    return markdown([head, *(row for row in rows if codecs is None or row[0] in codecs)])


def fingerprint() -> str:
    """SHA-256 over the committed results, which a picture made of them carries."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write() -> None:
    """Renew the tables and the curves."""
    for name, codecs in PAGES.items():
        before, rest = (ROOT / name).read_text(encoding="utf-8").split(BEGIN)
        (ROOT / name).write_text(f"{before}{BEGIN}\n{table(codecs)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    points = summarise(_committed(), METRICS)
    for metric in CURVE_METRICS:
        write_figure(RESULTS / metric, rate_quality_curve(points, metric))
    (RESULTS / "curves.sha256").write_text(fingerprint() + "\n", encoding="utf-8")


def stale() -> list[str]:
    """What is not up to date."""
    wrong = []
    for name, codecs in PAGES.items():
        found = (ROOT / name).read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
        wrong += [] if found == table(codecs) else [f"{name}: the table of results"]
    recorded = (RESULTS / "curves.sha256").read_text(encoding="utf-8").strip()
    return wrong if recorded == fingerprint() else [*wrong, "recipes/results: the curves"]


def _files() -> list[Path]:
    """The bundled model's file first: tables and colours begin with it."""
    return sorted(RESULTS.glob("*.jsonl"), key=lambda path: (path.stem != "speech-16k", path.stem))


def _committed() -> list[Result]:
    return [result for path in _files() for result in read_results(path)]


def _slim(result: Result) -> Result:
    """Without columns that repeat in every line."""
    return replace(result, columns={name: v for name, v in result.columns.items() if name in KEPT_COLUMNS})


def main() -> None:
    """Do what the options say, in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", type=Path, nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for folder in options.add:
        add(folder)
    if options.write:
        write()
    if options.check and (wrong := stale()):
        sys.exit("\n".join(f"{item} is not up to date; run python tools/results.py --write" for item in wrong))


if __name__ == "__main__":
    until_unread(main)
