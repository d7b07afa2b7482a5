"""Faults that a listener hears at once are caught by what the report shows first, and a clean codec is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.ndimage import uniform_filter
from scipy.signal import butter, istft, sosfiltfilt, stft

import vqcodec
from vqcodec.evaluation.alignment import align
from vqcodec.evaluation.codecs.library import OpusCodec, PcmCodec
from vqcodec.evaluation.report.write_report import present
from vqcodec.evaluation.run import DEFAULT_METRICS, Comparison, evaluate
from vqcodec.metrics import METRICS

CLIPS = sorted((Path(__file__).parents[1] / "data").glob("*.flac"))

FAULTS = {
    "pulse_periodicity_2_4khz": lambda value: value < -0.4,
    "grid_50hz": lambda value: value > 3,
    "level_4_7khz": lambda value: value < -10,
    "f0_correlation": lambda value: value < 0.5,
}
"""What the table of docs/evaluation.md calls a fault."""


def read(path):
    wave, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 16000
    return wave


def hoarse(wave):
    """Noise with the levels of the original over time and frequency above 1.5 kHz."""
    grid = {"fs": 16000, "nperseg": 512, "noverlap": 384}
    hz, _, true = stft(wave, **grid)
    hiss = stft(np.random.default_rng(0).normal(size=len(wave)), **grid)[2]
    wanted, had = (uniform_filter(np.abs(x) ** 2, (9, 3)) for x in (true, hiss))
    mixed = np.where(hz[:, None] < 1500, true, hiss * np.sqrt(wanted / had))
    return istft(mixed, **grid)[1][: len(wave)]


def buzzing(wave):
    """Louder by 2.3 dB for 2 ms of every frame of 20 ms."""
    return wave * (1 + 0.3 * (np.arange(len(wave)) % 320 < 32))


def dull(wave):
    return sosfiltfilt(butter(4, 3400, fs=16000, output="sos"), wave)


def repeating(wave):
    """The other clip, whatever is to be coded."""
    (other,) = (clip for clip in map(read, CLIPS) if len(clip) != len(wave))
    return np.resize(other, len(wave))


def found(wave, wave_hat):
    """Names of the default metrics that call `wave_hat` faulty."""
    aligned = align(wave, wave_hat.astype(np.float32), 16000).wave_hat
    return {name for name, is_fault in FAULTS.items() if is_fault(METRICS[name](wave, aligned, 16000))}


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("fault", "metric"),
    [
        (hoarse, "pulse_periodicity_2_4khz"),
        (buzzing, "grid_50hz"),
        (dull, "level_4_7khz"),
        (repeating, "f0_correlation"),
    ],
)
def test_a_codec_with_a_fault_is_caught_by_a_default_metric(path, fault, metric):
    wave = read(path)
    assert metric in found(wave, fault(wave))
    assert metric in DEFAULT_METRICS


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_clean_codecs_are_not_caught(path):
    wave = read(path)
    assert found(wave, OpusCodec().run(wave, 16000, 24).wave_hat) == set()
    assert found(wave, vqcodec.decompress(vqcodec.compress(wave, 16000, kbps=6))[0].reshape(-1)) == set()


SAID = {
    "pulse_periodicity_2_4khz": "noise in the place of harmonics",
    "grid_50hz": "a buzz at the frame rate",
    "level_4_7khz": "dull",
    "f0_correlation": "not what was said",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", [hoarse, buzzing, dull, repeating])
def test_the_page_and_the_terminal_begin_with_the_fault(tmp_path, monkeypatch, fault):
    """Through a whole evaluation: the codec is one whose renderings have the fault."""
    rendered = PcmCodec.run

    def run(self, wave, rate_hz, kbps):
        coded = rendered(self, wave, rate_hz, kbps)
        return replace(coded, wave_hat=np.asarray(fault(wave), np.float32))

    monkeypatch.setattr(PcmCodec, "run", run)
    out = tmp_path / "out"
    evaluate(CLIPS, out, Comparison(codecs=["pcm"], kbps=[6], metrics=list(FAULTS), listen=0))
    text = present(out)
    page = (out / "report.html").read_text()
    (metric,) = [name for name, made in zip(FAULTS, (hoarse, buzzing, dull, repeating), strict=True) if made is fault]
    assert text.startswith("Heard at once:\npcm: ")
    assert f"pcm: {SAID[metric]}" in text.replace("fluent, but ", "").split("|", 1)[0]
    assert SAID[metric] in page.partition("<body>")[2].partition("<table>")[0]


def test_a_clean_codec_has_no_faults_on_its_page(tmp_path):
    evaluate(CLIPS, tmp_path, Comparison(codecs=["pcm"], kbps=[6], metrics=list(FAULTS), listen=0))
    assert present(tmp_path).startswith("| codec")
    assert 'class="faults"' not in (tmp_path / "report.html").read_text()
