"""Packets that are lost: which, what is heard of a clip, and the rows that this makes."""

import json

import numpy as np
import pytest
import soundfile

from vqcodec.errors import ConfigError
from vqcodec.evaluation.codecs.library import NeuralCodec, PcmCodec
from vqcodec.evaluation.codecs.over_packets import heard_over
from vqcodec.evaluation.coding import code, packets_of
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.packet_loss import PacketLoss, parse_loss, slots_of
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate
from vqcodec.files.convert import compress, decompress
from vqcodec.sessions.stream import DecodeSession

LOSSY = Condition(loss="random:20")


def runs_of(lost):
    """Lengths of what is lost in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(int), [0]))))
    return np.diff(edges)[::2]


@pytest.mark.parametrize(("text", "in_a_row"), [("random:10", 1 / 0.9), ("burst:20", 3.0), ("burst:75", 3.0)])
def test_as_many_packets_are_lost_as_was_asked_and_as_long_in_a_row(text, in_a_row):
    lost = parse_loss(text).draw(200_000, np.random.default_rng(0))
    assert lost.mean() == pytest.approx(float(text.partition(":")[2]) / 100, abs=0.01)
    assert runs_of(lost).mean() == pytest.approx(in_a_row, rel=0.03)


def test_a_longer_clip_loses_the_same_packets_first():
    short, long = (PacketLoss(0.2, 3).draw(count, np.random.default_rng(1)) for count in (100, 300))
    np.testing.assert_array_equal(short, long[:100])


@pytest.mark.parametrize("text", ["random", "random:0", "random:76", "burst:x", "burst:nan", "late:10", ""])
def test_a_loss_that_cannot_be_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match=r"cannot be; give random:PERCENT or burst:PERCENT, over 0 up to 75"):
        Condition(loss=text)


def test_a_seed_of_no_loss_is_refused():
    with pytest.raises(ConfigError, match="loss_seed 3 is of no loss"):
        Condition(loss_seed=3)


def test_without_loss_packets_carry_what_a_file_does(toy_codec, speech):
    wave = speech[:8123]
    heard = heard_over(toy_codec, wave, 1.0, np.zeros(slots_of(len(wave), 8000), bool))
    expected = decompress(compress(wave, 8000, model=toy_codec, kbps=1.0), model=toy_codec)[0][0]
    np.testing.assert_allclose(heard.wave_hat, expected, atol=1e-5)
    assert heard.codes.shape[1] == len(heard.packets) == 51  # a packet for each frame of 20 ms
    # Codebooks of 4 bits; at 1 kbps all three are used, 12 bits in 2 bytes.
    assert (heard.payload_bytes, sum(map(len, heard.packets))) == (51 * 2, 51 * 8)


def test_what_is_lost_is_concealed_as_a_session_does_it(toy_codec, speech):
    """The frames that begin in a lost slot, and no others, the last ones too."""
    wave = speech[:8000]
    lost = np.zeros(51, bool)
    lost[[0, 7, 8, 30, 49]] = True
    heard = heard_over(toy_codec, wave, 1.0, lost)
    session = DecodeSession(toy_codec)
    played = np.concatenate((session.push(heard.codes[None], lost[:50]), session.flush()), axis=1)[0]
    np.testing.assert_array_equal(heard.wave_hat, played)
    whole = heard_over(toy_codec, wave, 1.0, np.zeros(51, bool))
    assert (heard.wave_hat[7 * 160 : 9 * 160] != whole.wave_hat[7 * 160 : 9 * 160]).mean() > 0.9
    assert heard.packets == whole.packets


def test_all_codecs_lose_the_same_of_a_clip_and_each_coding_loses_others(toy_weights, speech, monkeypatch):
    seen = []
    codec = NeuralCodec(str(toy_weights))
    run_over = codec.run_over
    monkeypatch.setattr(codec, "run_over", lambda *arguments: seen.append(arguments[-1]) or run_over(*arguments))
    wave = speech[:16000]
    twice = Condition(generations=2, loss="random:20")
    for kbps, condition, clip in ((0.2, twice, "a"), (0.6, LOSSY, "a"), (0.2, LOSSY, "b")):
        code(codec, wave, 16000, kbps, condition, clip=clip)
    first, second, another_rate, another_clip = seen
    np.testing.assert_array_equal(first, another_rate)
    assert (first != second).any() and (first != another_clip).any()


def test_a_codec_without_packets_is_refused_before_anything_is_done(tmp_path, speech):
    with pytest.raises(ConfigError, match="pcm has no packets that could be lost; leave it out where --loss is given"):
        packets_of(PcmCodec())
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    with pytest.raises(ConfigError, match="pcm has no packets"):
        evaluate([tmp_path], tmp_path / "out", Comparison(["pcm"], [6], ["si_sdr"], conditions=[LOSSY]))
    assert not (tmp_path / "out").exists()


def test_a_loss_is_a_column_and_resumes(tmp_path, speech, toy_weights):
    soundfile.write(tmp_path / "clip.wav", speech[:24000], 16000)

    def run(*conditions):
        comparison = Comparison([str(toy_weights)], [0.2], ["si_sdr"], conditions=conditions)
        evaluate([tmp_path / "clip.wav"], tmp_path / "out", comparison, resume=True)
        return [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]

    rows = run(PLAIN, LOSSY, Condition(loss="random:20", loss_seed=1))
    columns = [(row.get("loss"), row.get("loss_seed")) for row in rows]
    assert columns == [(None, None), ("random:20", None), ("random:20", 1)]
    assert len({row["si_sdr"] for row in rows}) == 3
    assert run(LOSSY) == rows
    assert [result.condition.label for result in read_results(tmp_path / "out")] == [
        *("", "loss random:20", "loss random:20, loss seed 1")
    ]
