"""Quality against bitrate of one model: a table, without keeping anything. `vqcodec evaluate` does more.

python tools/bitrate_eval.py CLIPS... [--kbps 0.5 1.5 3 6] [--model NAME|PATH] [--metrics pesq_wb stoi estoi]
    --fixed-width leaves entropy coding out: what it saves is the difference in kbps
"""

import argparse
import tempfile
from pathlib import Path

from vqcodec.evaluation.report.tables import markdown, points_rows
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate
from vqcodec.evaluation.summary import summarise
from vqcodec.metrics import METRICS
from vqcodec.models import zoo
from vqcodec.system.pipes import until_unread


def main() -> None:
    """Parse the options and print one row per rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="files, folders, globs or manifests")
    parser.add_argument("--kbps", nargs="+", type=float, default=[0.5, 1.5, 3.0, 6.0])
    parser.add_argument("--model", default=zoo.DEFAULT_MODEL)
    parser.add_argument("--metrics", nargs="+", choices=list(METRICS), default=["pesq_wb", "stoi", "estoi"])
    parser.add_argument("--fixed-width", action="store_true", help="files without entropy coding")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    codec = f"fixed:{options.model}" if options.fixed_width else options.model
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        evaluate(
            options.clips,
            out,
            Comparison(codecs=[codec], kbps=options.kbps, metrics=options.metrics, listen=0),
            workers=options.workers,
        )
        print(markdown(points_rows(summarise(read_results(out), options.metrics), options.metrics)))


if __name__ == "__main__":
    until_unread(main)
