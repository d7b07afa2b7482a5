"""TokenDataset: the output of vqcodec tokenize as a sequence of utterances, in order or at random. No torch here."""

import operator
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ModelError, TokensError
from vqcodec.models import zoo
from vqcodec.texts import MOST_LIST_BYTES, parse_object, read_json_object
from vqcodec.tokens.formats.blobs import holds_vqc
from vqcodec.tokens.formats.shard_format import ShardReader, reading
from vqcodec.tokens.formats.shards import open_shard, read_rows, row_lines
from vqcodec.tokens.index import Totals, check_numbers, is_finished
from vqcodec.tokens.plan import ColumnType, Plan, Settings, open_plan
from vqcodec.tokens.utterances import TokenizedUtterance

if TYPE_CHECKING:
    from vqcodec.tokens.streaming import TokenStream

_MOST_OPEN_SHARDS = 16


def open_tokens(folder: str | Path, *, model: str | Path | None = None) -> "TokenDataset":
    """Open the dataset in the output folder of a finished vqcodec tokenize.

    `model`: the weights that made it, which only entropy-coded outputs of a model that is not bundled need. Raises
    TokensError for a folder that is unfinished or damaged, ModelError for other weights.
    """
    plan = open_plan(Path(folder).absolute())
    return TokenDataset(plan, entropy_of(plan.settings, model))


class TokenDataset:
    """Utterances in the order of the plan: a map by position or id, as torch.utils.data.Dataset has it.

    `len`, iteration, `dataset[5]`, `dataset["speaker/clip"]`, `"speaker/clip" in dataset`. What a row costs is a
    row group of parquet (at most 128 rows), or the row itself. Threads may share it, and processes: it is small to
    pickle, and each opens files of its own. Positions raise IndexError, ids KeyError, damage TokensError.
    """

    def __init__(self, plan: Plan, entropy: EntropyModel | None) -> None:
        self.plan, self.entropy = plan, entropy
        self.totals, counts = _read_facts(plan)
        self._ends = list(accumulate(counts))
        self._positions: dict[str, int] | None = None
        self._forget_files()

    def __len__(self) -> int:
        return self.totals.utterances

    def __iter__(self) -> Iterator[TokenizedUtterance]:
        for shard, rows in enumerate(self.shard_sizes):
            yield from self.rows(shard, 0, rows)

    def __getitem__(self, key: int | str) -> TokenizedUtterance:
        if isinstance(key, str):
            return self._by_id(key)
        if isinstance(key, bool | slice):
            raise TypeError(f"{key!r} is neither a position nor an id; for several, iterate or take `rows` of a shard")
        position = operator.index(key)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self.plan.folder}: no utterance {position} of {len(self)}")
        position %= len(self)
        shard = bisect_right(self._ends, position)
        with self._lock_of_process():
            return self._opened(shard).row(position - (self._ends[shard - 1] if shard else 0))

    def __getitems__(self, keys: Sequence[int]) -> list[TokenizedUtterance]:
        """Read several utterances, as torch's DataLoader asks for a batch."""
        import vqcodec.tokens.streaming  # noqa: F401  its error where DataLoader has no collate_fn

        return [self[key] for key in keys]

    def __contains__(self, key: object) -> bool:
        return key in self._positions_of_ids()

    @override
    def __getstate__(self) -> dict[str, Any]:
        kept = {name: vars(self)[name] for name in ("plan", "totals", "entropy", "_ends")}
        return {**kept, "_positions": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget_files()

    @property
    def ids(self) -> list[str]:
        """List all ids, in order. They are read from the index once, and then take some 150 bytes each."""
        return list(self._positions_of_ids())

    @property
    def settings(self) -> Settings:
        """Model, rates, codebooks and format."""
        return self.plan.settings

    @property
    def columns(self) -> dict[str, ColumnType]:
        """Names and types of the carried columns."""
        return self.plan.columns

    @property
    def num_codebooks(self) -> int:
        """Rows of the codes."""
        return self.settings.num_codebooks

    @property
    def codebook_size(self) -> int:
        """Codes are from 0 to before it."""
        return self.settings.codebook_size

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.settings.frame_rate

    @property
    def sample_rate_hz(self) -> int:
        """The model's."""
        return self.settings.sample_rate_hz

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's weights, in hex."""
        return self.settings.fingerprint

    @property
    def shard_sizes(self) -> list[int]:
        """Utterances of each shard, without failures."""
        return [end - start for start, end in zip([0, *self._ends], self._ends, strict=False)]

    def rows(self, shard: int, start: int, stop: int) -> Iterator[TokenizedUtterance]:
        """Yield rows `start` to before `stop` of a shard, through files of its own."""
        return read_rows(self.plan, shard, self.entropy, start, stop)

    def stream(
        self,
        *,
        shuffle_seed: int | None = None,
        epoch: int = 0,
        buffer: int = 1024,
        world: tuple[int, int] | None = None,
    ) -> "TokenStream":
        """Return the dataset as a torch IterableDataset; see TokenStream."""
        from vqcodec.tokens.streaming import TokenStream

        return TokenStream(self, shuffle_seed=shuffle_seed, epoch=epoch, buffer=buffer, world=world)

    def _forget_files(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._readers: OrderedDict[int, ShardReader] = OrderedDict()

    def _lock_of_process(self) -> threading.Lock:
        """After a fork the parent's files, and a lock that one of its threads may hold, are left to the parent."""
        if self._pid != os.getpid():
            self._forget_files()
        return self._lock

    def _opened(self, shard: int) -> ShardReader:
        """A shard, kept open while it is among the latest used."""
        reader = self._readers.get(shard)
        if reader is None:
            reader = self._readers[shard] = open_shard(self.plan, shard, self.entropy)
            if len(self._readers) > _MOST_OPEN_SHARDS:
                self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(shard)
        return reader

    def _by_id(self, key: str) -> TokenizedUtterance:
        position = self._positions_of_ids().get(key)
        if position is None:
            raise KeyError(f"{self.plan.folder}: no utterance {key!r}; failures.jsonl lists those that failed")
        row = self[position]
        if row.id != key:
            raise TokensError(f"{self.plan.folder}: has {row.id!r} where its index has {key!r}; tokenize afresh")
        return row

    def _positions_of_ids(self) -> dict[str, int]:
        if self._positions is None:
            ids = [utterance_id for shard in range(len(self._ends)) for utterance_id in self._ids_of(shard)]
            self._positions = {utterance_id: position for position, utterance_id in enumerate(ids)}
        return self._positions

    def _ids_of(self, shard: int) -> list[str]:
        lines, expected = row_lines(self.plan, shard), self.shard_sizes[shard]
        if len(lines) != expected:
            raise TokensError(
                f"{self.plan.folder}: the index of shard {shard} has {len(lines)} rows, not {expected}; "
                "vqcodec tokens merge counts them again"
            )
        with reading(self.plan.folder / "index"):
            return [parse_object(line)["id"] for line in lines]


def entropy_of(settings: Settings, model: str | Path | None) -> EntropyModel | None:
    """Find the entropy model that rows are read with: of `model` or bundled; None where none is needed, or known.

    Raises ModelError for weights that are missing or not those of the settings.
    """
    if model is None:
        needed = holds_vqc(settings)
        names = [card.name for card in zoo.MODELS.values() if card.sha256 == settings.fingerprint and needed]
        return zoo.open_weights(names[0]).entropy if names else None
    found = zoo.open_model(model)
    sha256 = (found.fingerprint or b"").hex()
    if sha256 != settings.fingerprint:
        raise ModelError(
            f"{model}: fingerprint {sha256[:8]}, but the tokens are of {settings.model} "
            f"({settings.fingerprint[:8]}); give the weights that made them"
        )
    return found.entropy


def _read_facts(plan: Plan) -> tuple[Totals, list[int]]:
    """Totals and utterances of each shard, as index.json has them."""
    path = plan.folder / "index.json"
    if not path.exists():
        finished = sum(is_finished(plan, shard) for shard in range(plan.num_shards))
        raise TokensError(
            f"{plan.folder}: unfinished, {finished} of {plan.num_shards} shards are there; go on with "
            + ("vqcodec tokens merge" if finished == plan.num_shards else "vqcodec tokenize --resume")
        )
    with reading(path):
        values = read_json_object(path, most_bytes=MOST_LIST_BYTES)
        counts = [shard["utterances"] for shard in values["shards"]]
        totals = Totals(**{name: values[name] for name in Totals.__dataclass_fields__})
        sums = (totals.utterances, totals.failures, totals.frames, totals.tokens)
        check_numbers(*counts, *sums, seconds=totals.seconds)
        if len(counts) != plan.num_shards or sum(counts) != totals.utterances:
            raise TokensError("does not fit the plan")
    return totals, counts
