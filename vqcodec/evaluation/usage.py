"""How much of its codebooks a neural codec uses on the clips of an evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vqcodec.errors import ConfigError
from vqcodec.evaluation.conditions import Condition
from vqcodec.evaluation.folder import codes_path, read_codes
from vqcodec.evaluation.results import Result
from vqcodec.models.codebook_usage import CodebookUsage


@dataclass(frozen=True)
class Usage:
    """How a codec uses its codebooks under one condition: entropy in bits, perplexity, share of codes that occur."""

    codec: str
    kbps_asked: float | None
    codebook_size: int
    condition: Condition
    entropy_bits: list[float]
    perplexity: list[float]
    used_share: list[float]


def usage_of(out: Path, results: Iterable[Result]) -> list[Usage]:
    """Measure one per codec, rate and condition that left codes in the folder `out`."""
    kept: dict[tuple[str, float | None, int, Condition], list[Path]] = {}
    for result in results:
        path = codes_path(out, result.codec, result.kbps_asked, result.clip, result.condition)
        if result.codebook_size and path.exists():
            point = result.codec, result.kbps_asked, result.codebook_size, result.condition
            kept.setdefault(point, []).append(path)
    return [_usage(*key, paths) for key, paths in kept.items()]


def _usage(codec: str, kbps: float | None, codebook_size: int, condition: Condition, paths: list[Path]) -> Usage:
    num_codebooks = len(read_codes(paths[0]))
    usage = CodebookUsage(num_codebooks, codebook_size)
    for path in paths:
        codes = read_codes(path)
        if len(codes) != num_codebooks or (codes.size and codes.max() >= codebook_size):
            raise ConfigError(f"{path}: its codes are not those of {codec}; --resume makes it again once it is removed")
        usage.add(codes)
    rounded = [[round(float(v), 4) for v in row] for row in (usage.entropy_bits, usage.perplexity, usage.used_share)]
    return Usage(codec, kbps, codebook_size, condition, *rounded)
