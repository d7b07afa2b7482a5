"""Average the weights of two runs of one architecture, of which the second began with those of the first.

python tools/average.py FIRST SECOND OUT [--share 0.5]: OUT has `share` of SECOND, and no entropy model: fit it anew.
"""

import argparse
import sys
from pathlib import Path

import torch

from vqcodec.errors import ConfigError, VqcodecError
from vqcodec.models.weights import load_weights, save_weights


def average(first: Path, second: Path, out: Path, share: float) -> None:
    """Write (1 - share) * first + share * second. Raises ConfigError for weights of another architecture."""
    codecs = load_weights(first), load_weights(second)
    if codecs[0].config != codecs[1].config:
        raise ConfigError(f"{first} and {second} are not of one architecture; give two that are")
    states = [codec.state_dict() for codec in codecs]
    mixed = {name: torch.lerp(tensor, states[1][name], share) for name, tensor in states[0].items()}
    save_weights(codecs[0].config, mixed, out)


def main() -> None:
    """Parse the options and write the average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("first", "second", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second; 0.5 by default")
    given = parser.parse_args()
    try:
        average(given.first, given.second, given.out, given.share)
    except VqcodecError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
