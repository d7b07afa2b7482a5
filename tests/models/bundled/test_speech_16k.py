"""The bundled weights on input that nobody trained them for: finite, never much louder, silence stays silent."""

import numpy as np
import pytest
import soxr

from vqcodec.files.convert import compress, decompress

TIME = np.arange(32000) / 16000
RANDOM = np.random.default_rng(0)


def level_db(wave):
    return 20 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=np.float64))) + 1e-12)


def inputs(speech):
    return {
        "silence": np.zeros(32000),
        "dither": RANDOM.uniform(-1, 1, 32000) / 32768,
        "speech at -50 dB": speech * 10 ** (-50 / 20) / np.abs(speech).max(),
        "clipped speech": np.clip(20 * speech, -1, 1),
        "noisy speech": speech + RANDOM.normal(0, 0.02, len(speech)),
        "noise": RANDOM.normal(0, 0.1, 32000),
        "low tone": 0.3 * np.sin(2 * np.pi * 100 * TIME),
        "tone": 0.3 * np.sin(2 * np.pi * 1000 * TIME),
        "high tone": 0.3 * np.sin(2 * np.pi * 7000 * TIME),
        "full-scale square": np.sign(np.sin(2 * np.pi * 300 * TIME)),
        "chord": sum(0.1 * np.sin(2 * np.pi * hz * TIME) for hz in (262, 330, 392, 523)),
        "clicks": (np.arange(32000) % 1600 == 0).astype(float),
    }


@pytest.mark.slow
@pytest.mark.parametrize("num_codebooks", [1, 3, 12])
def test_any_input_stays_finite_and_no_louder(codec, speech, num_codebooks):
    for name, wave in inputs(speech).items():
        data = compress(wave.astype(np.float32), 16000, model=codec, num_codebooks=num_codebooks)
        decoded, _ = decompress(data, model=codec)
        assert np.isfinite(decoded).all(), name
        assert level_db(decoded) < max(level_db(wave) + 3, -60), name


@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_other_rates_keep_pitch_and_level(codec, speech, rate_hz):
    wave = soxr.resample(speech, 16000, rate_hz)
    decoded = decompress(compress(wave, rate_hz, model=codec), model=codec)[0][0]
    assert abs(level_db(decoded) - level_db(wave)) < 3
    # A shift of pitch or time would tear the waves apart.
    assert np.corrcoef(wave, decoded)[0, 1] > 0.8


def test_every_codebook_is_in_use(codec, speech):
    """Collapse would show as few codes: 257 frames of one clip must draw widely from each codebook."""
    import torch

    codes = codec.encode(torch.from_numpy(speech)[None, None])[0]
    assert all(len(layer.unique()) > 100 for layer in codes)
