"""Conditions of an evaluation: what happens to a clip beside one coding. They are columns of the results."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from vqcodec.errors import ConfigError
from vqcodec.evaluation.packet_loss import parse_loss

MOST_GENERATIONS = 100
MOST_SHIFT_MS = 1000.0
MOST_LEVEL_DB = 100.0
MOST_SEED = (1 << 32) - 1


@dataclass(frozen=True)
class Condition:
    """What happens to a clip; by default it is coded once, as it is.

    generations: codings in a row: what was decoded is coded again, and the last is scored, against the clip
    shift_ms:    silence in milliseconds that is put in front before each coding, and stays: the n-th coding sees the
                 clip n times as much later, at other places in its frames
    noise, snr_db: a folder, file, glob or manifest of noise, and by how many dB its power is below the clip's
    noise_seed:  of the draw of what is heard of it, for each clip another
    level_db:    gain in dB, of the noise too; what comes of noise and gain is the clip that is compared with
    loss:        of packets in each coding, as `packet_loss.parse_loss` reads it
    loss_seed:   of the draw of which are lost, for each clip others

    Raises ConfigError for values that cannot be.
    """

    generations: int = 1
    shift_ms: float = 0.0
    level_db: float = 0.0
    noise: str | None = None
    snr_db: float | None = None
    noise_seed: int = 0
    loss: str | None = None
    loss_seed: int = 0

    def __post_init__(self) -> None:
        if type(self.generations) is not int or not 1 <= self.generations <= MOST_GENERATIONS:
            raise ConfigError(f"generations {self.generations!r:.40} is no count; give 1 to {MOST_GENERATIONS}")
        _check_range("shift_ms", self.shift_ms, 0, MOST_SHIFT_MS)
        _check_range("level_db", self.level_db, -MOST_LEVEL_DB, MOST_LEVEL_DB)
        if not (self.noise is None or (isinstance(self.noise, str) and self.noise)):
            raise ConfigError(f"noise {self.noise!r:.40} is no source of noise; give a folder of it")
        if (self.noise is None) != (self.snr_db is None) or (self.noise is None and self.noise_seed != 0):
            told = f"noise {self.noise!r:.80}, snr_db {self.snr_db!r:.40} and noise_seed {self.noise_seed!r:.40}"
            raise ConfigError(f"{told} do not go together; give noise and its ratio in dB, or nothing of it")
        if self.snr_db is not None:
            _check_range("snr_db", self.snr_db, -MOST_LEVEL_DB, MOST_LEVEL_DB)
        if self.loss is not None:
            parse_loss(self.loss)
        elif self.loss_seed != 0:
            raise ConfigError(f"loss_seed {self.loss_seed!r:.40} is of no loss; give both, or nothing of it")
        for name in ("noise_seed", "loss_seed"):
            seed = getattr(self, name)
            if type(seed) is not int or not 0 <= seed <= MOST_SEED:
                raise ConfigError(f"{name} {seed!r:.40} cannot be; give 0 to {MOST_SEED}")

    @property
    def label(self) -> str:
        """Return what tables and pages call it; empty for one coding of the clip as it is."""
        parts = [
            f"{self.generations} generations" if self.generations > 1 else "",
            f"shift {self.shift_ms:g} ms" if self.shift_ms else "",
            f"level {self.level_db:+g} dB" if self.level_db else "",
            f"noise {self.noise} at {self.snr_db:g} dB" if self.snr_db is not None else "",
            f"seed {self.noise_seed}" if self.noise_seed else "",
            f"loss {self.loss}" if self.loss is not None else "",
            f"loss seed {self.loss_seed}" if self.loss_seed else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what conditions are sorted by: the plain one first, then by what they do, generations rising."""
        noise = self.noise or "", self.snr_db or 0.0, self.noise_seed
        loss = self.loss or "", self.loss_seed
        return (*noise, *loss, self.level_db != 0, self.level_db, self.shift_ms, self.generations)

    @property
    def of_clip(self) -> "Condition":
        """Return what of it changes the clip that is compared with: noise and level."""
        return dataclasses.replace(self, generations=1, shift_ms=0.0, loss=None, loss_seed=0)

    def columns(self) -> dict[str, Any]:
        """Return the columns of a result, by name: those that are not as by default."""
        return {name: value for name, value in vars(self).items() if value != getattr(PLAIN, name)}


def _check_range(name: str, value: object, least: float, most: float) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:  # type: ignore[arg-type,operator]
        raise ConfigError(f"{name} {value!r:.40} cannot be; give {least:g} to {most:g}")


PLAIN = Condition()
"""One coding of the clip as it is."""
CONDITION_COLUMNS = tuple(field.name for field in dataclasses.fields(Condition))
"""Names of the columns."""
