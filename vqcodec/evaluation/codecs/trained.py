"""Metrics that a model of ours was trained on: those that a loss of its training is a model of. They flatter it."""

from collections.abc import Iterable
from pathlib import Path

from vqcodec.models.zoo import MODELS
from vqcodec.texts import read_json_object

_LEVELS = ("level_0_1khz", "level_1_2khz", "level_2_4khz", "level_4_7khz")
METRICS_OF_LOSSES = {
    "perceptual": ("pesq_wb", "pesq_nb"),
    "mel": ("mel_distance",),
    "level": _LEVELS,
    "loudness": _LEVELS,
    "grid": ("grid_50hz", "grid_100hz"),
}
"""By the names that a recipe has under `loss`; the others are like no metric."""

_MOST_STAGES = 100
"""Runs of which each starts from the weights of the one before."""


def metrics_of(losses: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics that losses of these names are models of, sorted."""
    return tuple(sorted({metric for loss in losses for metric in METRICS_OF_LOSSES.get(loss, ())}))


def trained_on(weights: Path | None, sha256: str) -> tuple[str, ...]:
    """Return the metrics that weights were trained on: a bundled model's, or those of the run that they lie in.

    A run says it in its config.json, and which weights it started from: what these were trained on counts too. Nothing
    is known of weights that lie elsewhere (None: of a hub), nor of where a run began if that is gone.
    """
    return metrics_of(_losses(weights, sha256))


def _losses(weights: Path | None, sha256: str) -> set[str]:
    losses: set[str] = set()
    for _ in range(_MOST_STAGES):
        card = next((card for card in MODELS.values() if sha256 == card.sha256 or str(weights) == card.name), None)
        if card is not None:
            return losses | set(card.losses)
        if weights is None:
            break
        try:
            config = read_json_object(weights.parent / "config.json")
        except (OSError, ValueError):
            break
        weighted = config.get("loss")
        if isinstance(weighted, dict):
            losses |= {name for name in METRICS_OF_LOSSES if _is_weight(weighted.get(name))}
        start = config.get("init")
        if not isinstance(start, str):
            break
        weights, sha256 = Path(start), ""
    return losses


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and value > 0
