"""Fixtures of the token tests: folders of clips cut from the fixtures, and a plan of the toy model."""

import dataclasses

import numpy as np
import pytest
import soundfile

from vqcodec.tokens.formats.shards import write_shard
from vqcodec.tokens.index import merge, write_index
from vqcodec.tokens.plan import Settings, make_plan
from vqcodec.tokens.run import tokenize
from vqcodec.tokens.utterances import TokenizedUtterance, Utterance
from vqcodec.tokens.work.messages import Workers


@pytest.fixture(scope="session")
def make_clips(speech):
    """Function: write `count` clips of real speech, of different lengths, into a folder."""

    def make(folder, count, *, rate_hz=16000, least=800, most=12000):
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(count)
        for number in range(count):
            length = int(random.integers(least, most))
            start = int(random.integers(0, len(speech) - length))
            soundfile.write(folder / f"clip{number:03}.flac", speech[start : start + length], rate_hz)
        return folder

    return make


@pytest.fixture
def tokenize_toy(toy_weights):
    """Function: `tokenize` with the toy model and one worker; what is of `Workers` may be given beside the rest."""

    def run(source, out, workers=1, **options):
        names = [field.name for field in dataclasses.fields(Workers) if field.name in options]
        who = Workers(workers, **{name: options.pop(name) for name in names})
        return tokenize(source, out, **{"model": toy_weights, "workers": who, **options})

    return run


@pytest.fixture(scope="session")
def bytes_of():
    """Function: every file below the shards of an output, by name."""

    def read(out):
        return {
            str(path.relative_to(out)): path.read_bytes()
            for path in sorted((out / "shards").rglob("*"))
            if path.is_file()
        }

    return read


@pytest.fixture(scope="session")
def make_output():
    """Function: write an output of vqcodec tokenize with random codes, `failing` positions left out; returns its rows.

    As of the toy model, unless `settings` say otherwise.
    """

    def make(
        folder,
        kind="parquet",
        *,
        count=300,
        shard_size=64,
        entropy_coded=False,
        failing=(),
        settings=None,
        entropy=None,
        is_merged=True,
    ):
        for name in ("shards", "index"):
            (folder / name).mkdir(parents=True)
        settings = settings or Settings("toy", "ab" * 32, 8000, 160, 16, 3, kind, entropy_coded)
        rows = list(random_rows(count, settings))
        utterances = [Utterance(row.id, row.source, row.source, columns=row.columns) for row in rows]
        plan = make_plan(folder, "random", utterances, settings, shard_size=shard_size)
        for shard in range(plan.num_shards):
            lines = []
            with write_shard(folder, shard, settings, plan.columns, entropy) as writer:
                for number in range(shard * shard_size, min(count, (shard + 1) * shard_size)):
                    row = rows[number]
                    if number in failing:
                        lines.append({"id": row.id, "source": row.source, "error": 'no "num_frames": 5'})
                        continue
                    facts = {"id": row.id, "num_frames": row.num_frames, "samples": row.samples}
                    seconds = {"seconds": row.samples / row.original_rate_hz}
                    lines.append({**facts, **seconds, **writer.add(row)})
            write_index(folder, shard, settings.format, lines)
        if is_merged:
            merge(plan)
        return [row for number, row in enumerate(rows) if number not in failing]

    return make


def random_rows(count, settings):
    random = np.random.default_rng(count)
    for number in range(count):
        frames = int(random.integers(1, 60))
        codes = random.integers(0, settings.codebook_size, (settings.num_codebooks, frames)).astype(np.uint16)
        rate_hz = settings.sample_rate_hz * (1 + number % 2)
        samples = frames * settings.hop_length * (1 + number % 2) - number % settings.hop_length
        columns = {"text": f"é {number}", "age": None if number % 3 else number}
        yield TokenizedUtterance(f"s.{number % 7}/u{number}", codes, samples, rate_hz, f"{number}.wav", columns)
