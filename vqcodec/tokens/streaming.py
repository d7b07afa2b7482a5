"""TokenStream: a dataset in training order, shared out over ranks and the workers of torch's DataLoader."""

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map
from typing_extensions import override

from vqcodec.tokens.patterns import Delayed, Pattern
from vqcodec.tokens.utterances import TokenizedUtterance

_OPEN_SHARDS = 8

_Part = tuple[int, int, int]
"""Rows of a shard: its number, the first row, and the one behind the last."""


class Shards(Protocol):
    """Utterances in shards, as a `TokenDataset` has them."""

    @property
    def shard_sizes(self) -> Sequence[int]:
        """Utterances of each shard."""

    def rows(self, shard: int, start: int, stop: int) -> Iterator[TokenizedUtterance]:
        """Yield those of a shard, from `start` to before `stop`."""

    def __len__(self) -> int:
        """Utterances of all."""


class TokenStream(IterableDataset[TokenizedUtterance]):
    """Every utterance exactly once over all ranks and their workers, of which each has as many as another, or one less.

    The shards, in an order that `shuffle_seed` and `epoch` draw (None: that of the plan), stand in one row, which is
    cut into equal runs; so there may be fewer shards than workers. A worker reads its run from several shards at a time
    through a buffer of `buffer` utterances, from which it draws. The same seed, epoch and numbers of ranks and workers
    give the same order. `world` is (rank, ranks); by default that of torch.distributed, or else RANK and WORLD_SIZE.
    """

    def __init__(
        self,
        dataset: Shards,
        *,
        shuffle_seed: int | None = None,
        epoch: int = 0,
        buffer: int = 1024,
        world: tuple[int, int] | None = None,
    ) -> None:
        if buffer < 1:
            raise ValueError(f"buffer {buffer} is not 1 or more")
        if world is not None and not 0 <= world[0] < world[1]:
            raise ValueError(f"world {world} is not (rank, ranks) with a rank from 0 to ranks - 1")
        self.dataset, self.shuffle_seed, self.epoch, self.buffer = dataset, shuffle_seed, epoch, buffer
        self._is_given = world is not None
        self._world = world or _world() or (0, 1)

    @override
    def __iter__(self) -> Iterator[TokenizedUtterance]:
        worker = get_worker_info()
        worker_id, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        rank, ranks = self._rank()
        index, count = rank * workers + worker_id, ranks * workers
        parts = _share(self._ordered(), index, count)
        if self.shuffle_seed is None:
            return (row for part in parts for row in self.dataset.rows(*part))
        chance = random.Random(f"{self.shuffle_seed} {self.epoch} {index}")
        return _shuffled(_interleaved(self.dataset, parts, chance), self.buffer, chance)

    def __len__(self) -> int:
        """Utterances of this rank, over all of its workers."""
        rank, ranks = self._rank()
        total = len(self.dataset)
        return (rank + 1) * total // ranks - rank * total // ranks

    def _rank(self) -> tuple[int, int]:
        """(rank, ranks). A spawned worker knows none: there stands what was so when the stream was made."""
        return self._world if self._is_given else _world() or self._world

    def _ordered(self) -> list[_Part]:
        """All shards, whole, in the order of this epoch."""
        shards = [(shard, 0, rows) for shard, rows in enumerate(self.dataset.shard_sizes)]
        if self.shuffle_seed is not None:
            random.Random(f"{self.shuffle_seed} {self.epoch}").shuffle(shards)
        return shards


def collate(
    utterances: Sequence[TokenizedUtterance], *, pattern: Pattern | None = None, pad: int | None = None
) -> tuple[Tensor, Tensor]:
    """Make a batch: codes [B, K, F] int64, `pad` behind those shorter than F frames; and their lengths [B].

    With a `pattern` the batch has its tokens, and in place of the lengths a mask: bool, where a token is a code, so
    that a loss leaves out all pads. `Delayed`: [B, K, F + K - 1] both, `pad` its own if none is given; `Interleaved`
    and `ByCodebook`: [B, F * K], `pad` as you like, vocabulary_size for one. Raises ValueError for no utterances, and
    without `pad` where the pattern has none.
    """
    if not utterances:
        raise ValueError("utterances are none; a batch has 1 or more")
    pad = pattern.pad if pad is None and isinstance(pattern, Delayed) else pad
    if pad is None:
        raise ValueError("pad is missing: give the token that stands behind the shorter ones, codebook_size for one")
    if pattern is not None:
        rows = [torch.from_numpy(pattern.flatten(utterance.codes)) for utterance in utterances]
        marks = [torch.ones(row.shape, dtype=torch.bool) for row in rows]
        if isinstance(pattern, Delayed):
            marks = [row != pattern.pad for row in rows]
        return _padded(rows, pad), _padded(marks, False)
    rows = [torch.from_numpy(utterance.codes.astype(np.int64)) for utterance in utterances]
    return _padded(rows, pad), torch.tensor([utterance.num_frames for utterance in utterances])


def _padded(rows: Sequence[Tensor], pad: int) -> Tensor:
    """[B, ..., N], each row with `pad` behind it."""
    longest = max(row.shape[-1] for row in rows)
    return torch.stack([torch.nn.functional.pad(row, (0, longest - row.shape[-1]), value=pad) for row in rows])


def _no_default(batch: object, *, collate_fn_map: object = None) -> NoReturn:
    raise TypeError(
        "utterances differ in length, so that DataLoader needs to be told: give it collate_fn="
        "functools.partial(vqcodec.tokens.collate, pattern=pattern), or pad=... for codes; collate_fn=list keeps them"
    )


# What DataLoader asks where it has no collate_fn: torch's own error knows nothing of ours.
default_collate_fn_map[TokenizedUtterance] = _no_default


def _world() -> tuple[int, int] | None:
    """This process's rank and the number of ranks; None where there is only one process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return None


def _share(parts: list[_Part], index: int, count: int) -> list[_Part]:
    """The `index`-th of `count` equal runs of the rows of `parts`."""
    total = sum(stop - start for _, start, stop in parts)
    first, last = index * total // count, (index + 1) * total // count
    share, position = [], 0
    for shard, start, stop in parts:
        begin, end = max(start, start + first - position), min(stop, start + last - position)
        if begin < end:
            share.append((shard, begin, end))
        position += stop - start
    return share


def _interleaved(dataset: Shards, parts: list[_Part], chance: random.Random) -> Iterator[TokenizedUtterance]:
    """The rows of `parts`, each next one of a shard drawn among several that are open."""
    waiting = iter(parts)
    opened = [dataset.rows(*part) for part in itertools.islice(waiting, _OPEN_SHARDS)]
    while opened:
        index = chance.randrange(len(opened))
        row = next(opened[index], None)
        if row is not None:
            yield row
        elif (part := next(waiting, None)) is not None:
            opened[index] = dataset.rows(*part)
        else:
            del opened[index]


def _shuffled(rows: Iterator[TokenizedUtterance], buffer: int, chance: random.Random) -> Iterator[TokenizedUtterance]:
    """`rows`, each drawn from the next `buffer` that have not come yet."""
    held: list[TokenizedUtterance] = []
    for row in rows:
        held.append(row)
        if len(held) == buffer:
            index = chance.randrange(buffer)
            held[index], held[-1] = held[-1], held[index]
            yield held.pop()
    chance.shuffle(held)
    yield from held
