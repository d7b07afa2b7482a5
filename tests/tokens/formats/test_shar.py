import gc
import io
import json
import re
import subprocess
import sys
import tarfile
import warnings

import numpy as np
import pytest

import vqcodec.tokens
from vqcodec.errors import ConfigError, TokensError
from vqcodec.tokens.formats import format_of
from vqcodec.tokens.formats.shar import _codes_of
from vqcodec.tokens.formats.shard_format import utterance_of
from vqcodec.tokens.formats.shards import write_shard
from vqcodec.tokens.index import index_path, shard_path
from vqcodec.tokens.plan import Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance

SETTINGS = Settings("toy", "ab" * 32, 22050, 441, 16, 3, "shar")
CODES = (np.arange(3 * 50).reshape(3, 50) % 16).astype(np.uint16)


def shard_of(folder, *rows, settings=SETTINGS, columns=None):
    """The folder of a shard that holds `rows`."""
    (folder / "shards").mkdir(parents=True)
    with write_shard(folder, 3, settings, columns or {}) as writer:
        for row in rows:
            writer.add(row)
    return shard_path(folder, 3, "shar")


@pytest.fixture
def read_shar():
    """Function: the cuts that lhotse reads. The tars that it leaves open are closed without a word."""
    lhotse = pytest.importorskip("lhotse")

    def read(**where):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            cuts = list(lhotse.CutSet.from_shar(**where))
            gc.collect()
        return cuts

    return read


def test_lhotse_reads_frames_by_codebooks_and_what_was_said(tmp_path, read_shar):
    columns = {"text": "string", "speaker": "int64", "score": "float64", "target_codes": "string"}
    values = {"text": "héllo", "speaker": 7, "score": float("nan"), "target_codes": "mine"}
    ids = ("s.1/u.0", "x" * 150, "é/ü", "a b.npy")
    rows = [TokenizedUtterance(name, CODES, 48000, 48000, "a.wav", values) for name in ids]
    cuts = read_shar(in_dir=shard_of(tmp_path, *rows, columns=columns))
    assert [cut.id for cut in cuts] == list(ids)
    for cut in cuts:
        codes = cut.load_target_codes()
        np.testing.assert_array_equal(codes, CODES.T)
        np.testing.assert_array_equal(cut.target_codes.load(), CODES.T)  # as NeMo does
        assert (codes.dtype, cut.target_codes.shape, cut.target_codes.frame_shift) == (np.int16, [50, 3], 0.02)
        assert (cut.duration, cut.sampling_rate, cut.custom["samples"], cut.original_rate_hz) == (
            1,
            22050,
            48000,
            48000,
        )
        (supervision,) = cut.supervisions
        assert (supervision.text, supervision.duration, supervision.speaker) == ("héllo", 1.0, None)
        assert (cut.speaker, cut.score) == (7, None)


@pytest.mark.parametrize("rate_hz, hop_length", [(22050, 441), (44100, 512), (24000, 1920), (16000, 320)])
def test_lhotse_truncates_between_frames(tmp_path, read_shar, rate_hz, hop_length):
    settings = Settings("toy", "ab" * 32, rate_hz, hop_length, 16, 3, "shar")
    row = TokenizedUtterance("u0", CODES, 50 * hop_length - 7, rate_hz, "a.wav")
    (cut,) = read_shar(in_dir=shard_of(tmp_path, row, settings=settings))
    shift = cut.target_codes.frame_shift
    for first in range(0, 50, 7):
        for count in (1, 5, 50 - first):
            part = cut.truncate(offset=first * shift, duration=count * shift)
            np.testing.assert_array_equal(part.load_target_codes(), CODES.T[first : first + count])
            assert len(part.supervisions) == 1
    windows = cut.cut_into_windows(10 * shift)
    assert [len(part.load_target_codes()) for part in windows] == [10] * 5


def test_lhotse_reads_all_shards_of_a_run(tmp_path, make_output, read_shar):
    rows = make_output(tmp_path / "out", "shar", count=10, shard_size=4, failing={5})
    shards = tmp_path / "out" / "shards"
    fields = {"cuts": sorted(shards.glob("*/cuts.*")), "target_codes": sorted(shards.glob("*/target_codes.*"))}
    (tmp_path / "flat").mkdir()
    for path in shards.rglob("*.*"):
        (tmp_path / "flat" / path.name).write_bytes(path.read_bytes())
    for cuts in (read_shar(fields=fields), read_shar(in_dir=tmp_path / "flat")):
        for cut, row in zip(cuts, rows, strict=True):
            assert (cut.id, cut.supervisions[0].text, cut.source) == (row.id, row.columns["text"], row.source)
            np.testing.assert_array_equal(cut.load_target_codes(), row.codes.T)


def test_codes_above_15_bits_and_no_frames_at_all_come_back(tmp_path, read_shar):
    settings = Settings("toy", "ab" * 32, 16000, 320, 1 << 16, 1, "shar")
    high = TokenizedUtterance("high", np.array([[0, 65535]], np.uint16), 640, 16000, "a.wav")
    none = TokenizedUtterance("none", np.zeros((1, 0), np.uint16), 0, 16000, "b.wav")
    first, second = read_shar(in_dir=shard_of(tmp_path, high, none, settings=settings))
    assert first.load_target_codes().tolist() == [[0], [65535]]
    assert second.target_codes.load().shape == (0, 1)


def test_lhotse_is_not_needed_and_members_have_no_owner_or_time(tmp_path, make_output):
    make_output(tmp_path / "out", "shar", count=3)
    code = f"""
import sys
import vqcodec.tokens
assert vqcodec.tokens.open({str(tmp_path / "out")!r})[2].codes.shape[0] == 3
print("lhotse" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"
    with tarfile.open(shard_path(tmp_path / "out", 0, "shar") / "target_codes.000000.tar") as tar:
        assert tar.getnames()[:2] == ["s.0/u0.npy", "s.0/u0.json"]
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}


def test_a_row_of_another_id_is_damage(tmp_path, make_output):
    make_output(tmp_path / "out", "shar", count=20)
    index = index_path(tmp_path / "out", 0)
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    lines[3]["offset"], lines[3]["bytes"] = lines[4]["offset"], lines[4]["bytes"]
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = vqcodec.tokens.open(tmp_path / "out")
    with pytest.raises(
        TokensError, match=r"target_codes.000000.tar: has 's.4/u4' where its index has 's.3/u3'; remove"
    ):
        dataset[3]
    assert dataset[4].id == "s.4/u4"
    cuts = shard_path(tmp_path / "out", 0, "shar") / "cuts.000000.jsonl"
    cuts.write_text("".join(cuts.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(TokensError, match=r"cuts.000000.jsonl: has 's.5/u5' where its index has 's.4/u4'; remove"):
        vqcodec.tokens.open(tmp_path / "out")[4]


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (CODES.T, "an array of uint16, not of int16 or int32"),
        (-CODES.T.astype(np.int16), "codes from -15 to 0, which are none"),
        (CODES.astype(np.int16), "has codes [50, 3], not [3, 50]"),
        (CODES.T.astype(np.int16) + np.int16(1), "has a code 16, not in 0..15"),
    ],
)
def test_arrays_that_are_no_codes_are_damage(array, named):
    buffer = io.BytesIO()
    np.save(buffer, array)
    facts = {"id": "a", "num_frames": 50, "samples": 22050, "original_rate_hz": 22050, "source": "a.wav"}
    with pytest.raises(TokensError, match=re.escape(named)):
        utterance_of(facts, _codes_of(buffer.getvalue()), Plan("out", SETTINGS, "in", 1, 1, {}, [0], ""))


def test_it_is_never_entropy_coded():
    with pytest.raises(ConfigError, match="leave entropy_coded out"):
        format_of("shar").check(True)
