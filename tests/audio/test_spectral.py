import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from vqcodec.audio.spectral import mel_bank, mel_filters, stft


@pytest.mark.parametrize(("rate_hz", "window", "mels"), [(16000, 512, 80), (24000, 1024, 40), (8000, 256, 20)])
def test_mel_filters_are_those_of_transformers(rate_hz, window, mels):
    bins = window // 2 + 1
    wanted = mel_filter_bank(bins, mels, 0.0, rate_hz / 2, rate_hz, norm="slaney", mel_scale="slaney").T
    np.testing.assert_allclose(mel_filters(rate_hz, window, mels), wanted, atol=1e-6)  # ours are float32
    assert torch.equal(
        mel_bank(rate_hz, window, mels, torch.device("cpu")), torch.from_numpy(mel_filters(rate_hz, window, mels))
    )


def test_the_power_spectrum_is_torchaudios():
    torchaudio = pytest.importorskip("torchaudio", exc_type=ImportError)
    wave = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    wanted = torchaudio.transforms.Spectrogram(n_fft=256, hop_length=64, power=2)(wave)
    assert torch.allclose(stft(wave, 256, 64).abs().square(), wanted, rtol=1e-4, atol=1e-4)
