"""Files whose bytes meet a rate: over a minute, over each of several, of one channel and of two."""

import io

import numpy as np
import pytest
import soundfile

from vqcodec.bitstream import VqcReader
from vqcodec.errors import ConfigError
from vqcodec.files.average import encode_average
from vqcodec.files.convert import compress, decompress, encode_file
from vqcodec.files.live import encode_live
from vqcodec.files.request import new_header

RATE_HZ = 8000
"""That of the toy model, which has 0.6 kbps."""
WINDOW_SAMPLES = 3072 * 160


def cycled(wave, samples):
    return np.tile(wave, -(-samples // len(wave)))[:samples]


def kbps_of(data, seconds):
    return 8 * len(data) / seconds / 1000


def encoded(engine, wave, kbps, block_samples=40_960):
    """The bytes of wave [C, n] whose channels take `kbps` together."""
    channels, samples = wave.shape
    header = new_header(engine, rate_hz=RATE_HZ, channels=channels, samples=samples, num_codebooks=3)
    file = io.BytesIO()
    blocks = (wave[:, start : start + block_samples] for start in range(0, samples, block_samples))
    assert encode_average(blocks, engine, header, file, kbps=kbps) == samples
    return file.getvalue()


@pytest.fixture(scope="module")
def uneven(speech):
    """Three windows and a half [1, n] of speech, softer speech, a third of them silence, at the toy model's rate."""
    wave = cycled(speech[::2], 7 * WINDOW_SAMPLES // 2).copy()
    wave[WINDOW_SAMPLES : 2 * WINDOW_SAMPLES] *= 0.1
    wave[100_000:200_000] = wave[1_300_000:1_500_000] = 0
    return wave[None]


@pytest.mark.parametrize("kbps", [1.0, 2.6])
def test_the_rate_of_a_minute_is_met(codec, speech, kbps):
    """To a hundredth, with what surrounds the codes; a rule that took nominal rates would be a fifth below."""
    pause = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) * 3e-4
    wave = cycled(np.concatenate((speech, pause, 0.2 * speech)), 61 * 16000)
    data = compress(wave, 16000, model=codec, kbps=kbps, abr=True)
    assert kbps_of(data, 61) == pytest.approx(kbps, rel=0.01)
    if kbps == 1.0:
        chunk = next(iter(VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy))).codes
        assert len(set((chunk >= 0).sum(axis=1)[0].tolist())) > 2


def test_each_window_meets_it_and_what_one_is_short_of_goes_to_the_next(toy_codec, uneven):
    data = encoded(toy_codec, uneven, 0.45)
    spans = VqcReader(io.BytesIO(data)).scan().spans
    for last in (12, 24):
        frames, size = (sum(values) for values in zip(*spans[:last], strict=True))
        assert frames == 256 * last
        assert 8 * size / frames * 50 / 1000 == pytest.approx(0.45, rel=0.02)
    assert kbps_of(data, uneven.shape[1] / RATE_HZ) == pytest.approx(0.45, rel=0.01)


def test_any_split_gives_the_same_bytes_and_two_channels_share_the_rate(toy_codec, uneven):
    wave = np.stack((uneven[0, :700_000], 0.3 * uneven[0, 700_000:1_400_000]))
    data = encoded(toy_codec, wave, 0.9)
    assert kbps_of(data, 700_000 / RATE_HZ) == pytest.approx(0.9, rel=0.01)
    assert encoded(toy_codec, wave, 0.9, block_samples=77_777) == data


@pytest.mark.parametrize("samples", [0, 100, 5000, 41_000])
def test_short_files_come_back(toy_codec, uneven, samples):
    data = compress(uneven[:, :samples], RATE_HZ, model=toy_codec, kbps=0.5, abr=True)
    assert decompress(data, model=toy_codec)[0].shape == (1, samples)


def test_rates_out_of_reach_end_at_one_codebook_and_at_all_that_matters(codec, speech):
    """Silence has one codebook at any rate, speech has all at the highest."""
    speech = speech[8000:40_000]
    wave = np.concatenate((speech, np.zeros(80_000, np.float32)))

    def depths(kbps):
        data = compress(wave, 16000, model=codec, kbps=kbps, abr=True)
        chunks = VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy)
        codes = np.concatenate([chunk.codes for chunk in chunks], axis=2)
        return (codes >= 0).sum(axis=1)[0]

    assert (depths(0.1) == 1).all()
    highest = depths(50.0)
    powers = np.square(speech.reshape(-1, 320)).mean(axis=1)
    assert highest[: len(powers)][powers > powers.max() / 1000].mean() > 11.9
    assert highest[-200:].max() == 1


def test_total_kbps_is_met_by_all_channels_of_a_file(toy_codec, uneven, tmp_path):
    wave = np.stack((uneven[0, :500_000], uneven[0, 500_000:1_000_000]))
    soundfile.write(tmp_path / "in.wav", wave.T, RATE_HZ, subtype="FLOAT")
    told = []
    for options, kbps in (({"kbps": 0.42}, 0.84), ({"total_kbps": 0.8}, 0.8)):
        summary = encode_file(
            tmp_path / "in.wav",
            tmp_path / f"{kbps}.vqc",
            model=toy_codec,
            abr=True,
            tags={"comment": "x" * 9000},  # no part of the rate
            on_remark=lambda _, text: told.append(text),
            **options,
        )
        assert 8 * (summary.file_bytes - 9000) / 62.5 / 1000 == pytest.approx(kbps, rel=0.01)
    assert [" = 0.84 kbps in all" in text for text in told].count(True) == 1


def test_what_has_no_rate_to_meet_says_so(toy_codec, noise, tmp_path, monkeypatch):
    wave = noise(1, 4000)
    for bad in ({}, {"kbps": 0.5, "vbr": 3}, {"num_codebooks": 2}):
        with pytest.raises(ConfigError, match="abr meets a rate"):
            compress(wave, RATE_HZ, model=toy_codec, abr=True, **bad)
    for kbps in (float("nan"), float("inf"), 0, -1):
        with pytest.raises(ConfigError, match="not a positive number"):
            compress(wave, RATE_HZ, model=toy_codec, abr=True, kbps=kbps)
    with pytest.raises(ConfigError, match="live stream"):
        encode_live(io.BytesIO(), tmp_path / "a.vqc", model=toy_codec, kbps=0.5, abr=True)
    monkeypatch.setattr(type(toy_codec), "has_depths", False)
    with pytest.raises(ConfigError, match="as many codebooks in all frames"):
        compress(wave, RATE_HZ, model=toy_codec, kbps=0.5, abr=True)
