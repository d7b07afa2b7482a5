"""Speech datasets as tokens. Names load on first use, so that importing the package needs no torch and no pyarrow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqcodec.tokens.decoding import detokenize
    from vqcodec.tokens.patterns import ByCodebook, Delayed, Interleaved, Pattern, Sampled
    from vqcodec.tokens.reader import TokenDataset
    from vqcodec.tokens.reader import open_tokens as open
    from vqcodec.tokens.run import tokenize
    from vqcodec.tokens.statistics import measure
    from vqcodec.tokens.streaming import TokenStream, collate
    from vqcodec.tokens.utterances import TokenizedUtterance
    from vqcodec.tokens.work.messages import Workers

__all__ = [
    "ByCodebook",
    "Delayed",
    "Interleaved",
    "Pattern",
    "Sampled",
    "TokenDataset",
    "TokenStream",
    "TokenizedUtterance",
    "Workers",
    "collate",
    "detokenize",
    "measure",
    "open",
    "tokenize",
]

_HOMES = {
    "ByCodebook": "patterns.ByCodebook",
    "Delayed": "patterns.Delayed",
    "Interleaved": "patterns.Interleaved",
    "Pattern": "patterns.Pattern",
    "Sampled": "patterns.Sampled",
    "TokenDataset": "reader.TokenDataset",
    "TokenStream": "streaming.TokenStream",
    "TokenizedUtterance": "utterances.TokenizedUtterance",
    "Workers": "work.messages.Workers",
    "collate": "streaming.collate",
    "detokenize": "decoding.detokenize",
    "measure": "statistics.measure",
    "open": "reader.open_tokens",
    "tokenize": "run.tokenize",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vqcodec.tokens' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].rpartition(".")
    return getattr(import_module(f"vqcodec.tokens.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
