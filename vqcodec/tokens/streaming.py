"""TokenStream: a dataset in training order, shared out over ranks and the workers of torch's DataLoader."""

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from vqcodec.tokens.utterances import TokenizedUtterance

if TYPE_CHECKING:
    from vqcodec.tokens.reader import TokenDataset

_OPEN_SHARDS = 8

_Part = tuple[int, int, int]
"""Rows of a shard: its number, the first row, and the one behind the last."""


class TokenStream(IterableDataset[TokenizedUtterance]):
    """Every utterance exactly once over all ranks and their workers, of which each has as many as another, or one less.

    The shards, in an order that `shuffle_seed` and `epoch` draw (None: that of the plan), stand in one row, which is
    cut into equal runs; so there may be fewer shards than workers. A worker reads its run from several shards at a time
    through a buffer of `buffer` utterances, from which it draws. The same seed, epoch and numbers of ranks and workers
    give the same order. `world` is (rank, ranks); by default that of torch.distributed, or else RANK and WORLD_SIZE.
    """

    def __init__(
        self,
        dataset: "TokenDataset",
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

    def __iter__(self) -> Iterator[TokenizedUtterance]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        # A spawned worker knows no ranks: there stands what was so when the stream was made.
        rank, ranks = self._world if self._is_given else _world() or self._world
        place, places = rank * workers + number, ranks * workers
        parts = _share(self._ordered(), place, places)
        if self.shuffle_seed is None:
            return (row for part in parts for row in self.dataset.rows(*part))
        chance = random.Random(f"{self.shuffle_seed} {self.epoch} {place}")
        return _shuffled(_interleaved(self.dataset, parts, chance), self.buffer, chance)

    def _ordered(self) -> list[_Part]:
        """All shards, whole, in the order of this epoch."""
        shards = [(shard, 0, rows) for shard, rows in enumerate(self.dataset.shard_sizes)]
        if self.shuffle_seed is not None:
            random.Random(f"{self.shuffle_seed} {self.epoch}").shuffle(shards)
        return shards


def collate(utterances: Sequence[TokenizedUtterance], *, pad: int) -> tuple[Tensor, Tensor]:
    """Codes [B, K, F] int64 of B utterances, `pad` behind each that is shorter than F frames; and their lengths [B]."""
    lengths = torch.tensor([utterance.num_frames for utterance in utterances])
    codes = torch.full((len(utterances), len(utterances[0].codes), int(lengths.max())), pad)
    for row, utterance in zip(codes, utterances, strict=True):
        row[:, : utterance.num_frames] = torch.from_numpy(utterance.codes.astype(np.int64))
    return codes, lengths


def _world() -> tuple[int, int] | None:
    """This process's rank and the number of ranks; None where there is only one process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return None


def _share(parts: list[_Part], place: int, places: int) -> list[_Part]:
    """The `place`-th of `places` equal runs of the rows of `parts`."""
    total = sum(stop - start for _, start, stop in parts)
    first, last = place * total // places, (place + 1) * total // places
    share, position = [], 0
    for shard, start, stop in parts:
        begin, end = max(start, start + first - position), min(stop, start + last - position)
        if begin < end:
            share.append((shard, begin, end))
        position += stop - start
    return share


def _interleaved(dataset: "TokenDataset", parts: list[_Part], chance: random.Random) -> Iterator[TokenizedUtterance]:
    """The rows of `parts`, each next one of a shard drawn among several that are open."""
    waiting = iter(parts)
    opened = [dataset.rows(*part) for part in itertools.islice(waiting, _OPEN_SHARDS)]
    while opened:
        number = chance.randrange(len(opened))
        row = next(opened[number], None)
        if row is not None:
            yield row
        elif (part := next(waiting, None)) is not None:
            opened[number] = dataset.rows(*part)
        else:
            del opened[number]


def _shuffled(rows: Iterator[TokenizedUtterance], buffer: int, chance: random.Random) -> Iterator[TokenizedUtterance]:
    """`rows`, each drawn from the next `buffer` that have not come yet."""
    held: list[TokenizedUtterance] = []
    for row in rows:
        held.append(row)
        if len(held) == buffer:
            number = chance.randrange(buffer)
            held[number], held[-1] = held[-1], held[number]
            yield held.pop()
    chance.shuffle(held)
    yield from held
