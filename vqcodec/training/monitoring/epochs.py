"""Means over epochs of the two halves of a VQ-VAE's loss: of the reconstruction, and of the latent."""

from collections.abc import Mapping

from vqcodec.training.config import LOSS_WEIGHTS

_LATENT = ("latent", "commitment", "codebook", "entropy", "sparsity", "idempotence", "clean_latent")
_HALVES = {
    "reconstruction": tuple(name for name in LOSS_WEIGHTS if name not in _LATENT),
    "latent": _LATENT,
}
"""Names of the losses in each: whatever has a weight and is not of the latent is of the reconstruction."""


class EpochMeans:
    """Sums up the losses of the steps of an epoch, `steps` long: about as many segments as there are clips.

    Of an epoch in which a run was interrupted, the means are those of the steps since.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._forget()

    def _forget(self) -> None:
        self._sums = dict.fromkeys(_HALVES, 0.0)
        self._count = 0

    def add(self, step: int, losses: Mapping[str, float]) -> dict[str, float] | None:
        """Count the losses, by name, of the step that ends at `step`; returns the means if the epoch does too."""
        for half, names in _HALVES.items():
            self._sums[half] += sum(losses.get(name, 0.0) for name in names)
        self._count += 1
        if step % self.steps:
            return None
        means = {"epoch": step // self.steps, **{half: total / self._count for half, total in self._sums.items()}}
        self._forget()
        return means
