"""How fast vqcodec is on one CPU thread, beside the architectures of other codecs in the same process.

python tools/bench                          every table but the long one (the peers need transformers)
python tools/bench --only speed frames      some of them
python tools/bench --only long              cost and memory from 1 s to two hours
python tools/bench --readme                 put what is measured into docs/benchmarks.md, the best of it into README.md
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

# Before any library reads it: all is measured on one thread, but for what says otherwise.
os.environ["OMP_NUM_THREADS"] = "1"

import efforts
import loss
import parts
import processes
import streams
import tokenizing
import torch

from vqcodec.system.pipes import until_unread

_PARTS = (
    *("speed", "frames", "streams", "arithmetic", "efforts"),
    *("start-up", "throughput", "tokens", "loss", "long"),
)
ROOT = Path(__file__).parents[2]
_SHORT_LINES = 6
"""Of the table of speeds, those in the README: its head and our own model."""


def main() -> None:
    """Parse the options, measure, print, and put the tables into the README if asked to."""
    options = _options()
    torch.set_num_threads(1)
    jobs: dict[str, Callable[[], str]] = {
        "speed": lambda: parts.speed(options.seconds, options.rounds),
        "frames": lambda: parts.frames(options.seconds),
        "streams": lambda: streams.streams(options.seconds),
        "arithmetic": lambda: parts.arithmetic(options.seconds, options.rounds),
        "efforts": lambda: efforts.efforts(options.seconds, options.rounds),
        "start-up": lambda: processes.start_up(options.rounds),
        "throughput": lambda: processes.throughput(
            min(3, options.rounds), repeats=max(1, round(4 * options.seconds)), seconds=2 * options.seconds
        ),
        "tokens": lambda: tokenizing.tokenizing(min(3, options.rounds), minutes=12 * options.seconds),
        "loss": lambda: loss.loss(min(5, options.rounds), options.seconds),
        "long": lambda: processes.long_files(options.minutes, options.engine),
    }
    chosen = options.only or [name for name in jobs if name != "long"]
    for name in chosen:
        text = jobs[name]()
        print(f"{name}\n\n{text}\n\n", flush=True)
        if options.readme:
            _put(ROOT / "docs" / "benchmarks.md", name, text)
            if name == "speed":
                _put(ROOT / "README.md", name, "\n".join(text.split("\n")[:_SHORT_LINES]))


def _put(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of `name` in a page."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=_PARTS)
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--minutes", type=float, default=120.0, help="longest file of the table `long`")
    parser.add_argument("--engine", choices=["torch", "onnx"], default="torch", help="of the table `long`")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    options.seconds = max(1, round(50 * options.seconds)) / 50  # whole frames, which the stages of a model take
    return options


if __name__ == "__main__":
    until_unread(main)
