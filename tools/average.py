"""Average the weights of several runs of one architecture that began with the same weights.

python tools/average.py OUT WEIGHTS WEIGHTS ...: OUT has no entropy model; fit it anew.

Such averages are better than each of their runs (Wortsman et al. 2022, Model soups).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vqcodec.errors import ConfigError, VqcodecError
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.system.pipes import until_unread


def average(out: Path, paths: Sequence[Path]) -> None:
    """Write the mean of all weights. Raises ConfigError where one is of another architecture than the first."""
    codecs = [load_weights(path) for path in paths]
    for path, codec in zip(paths, codecs, strict=True):
        if codec.config != codecs[0].config:
            raise ConfigError(f"{path} and {paths[0]} are not of one architecture; give some that are")
    states = [codec.state_dict() for codec in codecs]
    mean = {name: sum(state[name] for state in states) / len(states) for name in states[0]}
    save_weights(codecs[0].config, mean, out)


def main() -> None:
    """Parse the arguments and write the average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    given = parser.parse_args()
    try:
        average(given.out, given.weights)
    except VqcodecError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    until_unread(main)
