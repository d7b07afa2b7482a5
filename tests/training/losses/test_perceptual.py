import numpy as np
import pytest
import soundfile
import torch

from vqcodec.evaluation.codecs.library import OpusCodec
from vqcodec.metrics import pesq_wb
from vqcodec.training.config import LossConfig
from vqcodec.training.losses.perceptual import perceptual_loss
from vqcodec.training.losses.reconstruction import reconstruction_losses


def loss(wave, wave_hat):
    return float(perceptual_loss(torch.as_tensor(wave)[None], torch.as_tensor(wave_hat)[None], 16000))


def at_snr(wave, noise, snr_db):
    """`noise` scaled to `snr_db` below `wave`."""
    return noise * (wave.std() / noise.std()) * 10 ** (-snr_db / 20)


@pytest.fixture(scope="module")
def clips(speech, speech_path):
    kerstin, _ = soundfile.read(speech_path.with_name("kerstin.flac"), dtype="float32")
    return [speech[:64000], kerstin[:64000]]


def test_a_perfect_copy_loses_nothing_and_more_noise_loses_more(clips):
    for wave in clips:
        white = np.random.default_rng(0).normal(size=len(wave)).astype(np.float32)
        losses = [loss(wave, wave + at_snr(wave, white, snr_db)) for snr_db in (60, 40, 30, 20, 10, 0)]
        assert loss(wave, wave) == 0
        assert losses == sorted(losses)
        assert losses[-1] > 4 * losses[1] > 0


def test_its_gradient_vanishes_at_a_perfect_copy(clips):
    wave = torch.from_numpy(clips[0])[None]
    wave_hat = wave.clone().requires_grad_(True)
    perceptual_loss(wave, wave_hat, 16000).backward()
    assert (wave_hat.grad == 0).all()


def test_the_level_of_the_copy_and_a_mild_filter_are_up_to_other_losses(clips):
    for wave in clips:
        tilted = wave + 0.3 * np.append(0, wave[:-1])
        noisy = wave + at_snr(wave, np.random.default_rng(0).normal(size=len(wave)).astype(np.float32), 30)
        assert loss(wave, 0.5 * wave) < 0.1 * loss(wave, noisy)
        assert loss(wave, tilted.astype(np.float32)) < 0.5 * loss(wave, noisy)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("level_hat", [0.0, 1e-20, 1e-4, 1.0, 100.0])
@pytest.mark.parametrize("level", [0.0, 1e-20, 1e-4, 1.0, 100.0])
def test_it_and_its_gradient_are_finite_at_any_level(level, level_hat, rate_hz):
    torch.manual_seed(0)
    wave = level * torch.randn(2, 4096)
    wave_hat = (level_hat * torch.randn(2, 4096)).requires_grad_(True)
    lost = perceptual_loss(wave, wave_hat, rate_hz)
    lost.backward()
    assert torch.isfinite(lost)
    assert lost < 50
    assert torch.isfinite(wave_hat.grad).all()
    assert wave_hat.grad.abs().max() < 100


def test_sound_that_is_added_costs_more_than_as_much_that_is_missing(clips):
    window = torch.hann_window(512)
    for wave in clips:
        spectrum = torch.stft(torch.from_numpy(wave), 512, 256, window=window, return_complex=True)
        torch.manual_seed(0)
        patches = (torch.rand(1, 1, 33, spectrum.shape[1] // 4) < 0.3).float()  # 250 Hz by 64 ms
        patches = torch.nn.functional.interpolate(patches, size=spectrum.shape)[0, 0]
        part = torch.istft(spectrum * patches, 512, 256, window=window, length=len(wave)).numpy()
        assert loss(wave - part, wave) > 1.5 * loss(wave, wave - part)
        noise = np.random.default_rng(0).normal(0, part.std(), len(wave)).astype(np.float32)
        assert loss(wave, wave + noise) > 1.5 * loss(wave, wave - part)


@pytest.mark.slow
def test_it_orders_degradations_as_pesq_does(clips):
    ours, theirs = [], []
    for wave in clips:
        for wave_hat in degraded(wave):
            ours.append(loss(wave, wave_hat))
            theirs.append(pesq_wb(wave, wave_hat, 16000))
    ranks = [np.argsort(np.argsort(values)) for values in (ours, theirs)]
    assert np.corrcoef(ranks)[0, 1] < -0.95


def degraded(wave):
    """`wave` [T] coded, noisy, clipped, low-passed, turned down and with holes."""
    for kbps in (6, 8, 12, 24):  # of a codec that was not trained on this loss
        yield OpusCodec().run(wave, 16000, kbps).wave_hat[: len(wave)]
    white = np.random.default_rng(0).normal(size=len(wave)).astype(np.float32)
    pink = np.convolve(white, 0.97 ** np.arange(200), "same").astype(np.float32)
    for snr_db in (5, 15, 25, 35):
        yield wave + at_snr(wave, white, snr_db)
        yield wave + at_snr(wave, pink, snr_db)
    for share in (0.05, 0.2):
        yield np.clip(wave, -share * np.abs(wave).max(), share * np.abs(wave).max())
    spectrum = np.fft.rfft(wave)
    for cutoff_hz in (1500, 3000, 5000):
        low = spectrum * (np.fft.rfftfreq(len(wave), 1 / 16000) < cutoff_hz)
        yield np.fft.irfft(low, len(wave)).astype(np.float32)
    yield 0.5 * wave


def test_silence_counts_nothing_and_noise_in_pauses_little(clips):
    wave = clips[0][:32000]
    white = np.random.default_rng(0).normal(size=len(wave)).astype(np.float32)
    pause = np.arange(len(wave)) >= 16000
    paused = np.where(pause, 1e-4 * white, wave).astype(np.float32)
    in_speech = loss(paused, paused + at_snr(wave, white, 20) * ~pause)
    in_pause = loss(paused, paused + 1e-3 * white * pause)
    assert in_pause < 0.25 * in_speech
    true, guess = torch.zeros(2, 32000), torch.from_numpy(0.01 * white).expand(2, -1).clone()
    assert perceptual_loss(true, guess, 16000) == 0
    true[0], guess[0] = torch.from_numpy(wave), torch.from_numpy(wave + 0.01 * white)
    assert float(perceptual_loss(true, guess, 16000)) == pytest.approx(0.5 * loss(wave, wave + 0.01 * white))


def test_descending_it_raises_pesq(clips):
    wave = torch.from_numpy(clips[0][:32000])[None]
    noisy = wave + 0.01 * torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    wave_hat = noisy.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([wave_hat], lr=3e-4)
    for _ in range(40):
        optimizer.zero_grad()
        perceptual_loss(wave, wave_hat, 16000).backward()
        optimizer.step()
    before, after = (pesq_wb(wave[0].numpy(), x[0].detach().numpy(), 16000) for x in (noisy, wave_hat))
    assert after > before + 0.5


def test_it_is_part_of_the_reconstruction_losses_at_its_weight(clips):
    wave = torch.from_numpy(clips[0][:16000])[None]
    wave_hat = wave + 0.01 * torch.randn_like(wave)
    assert "perceptual" not in reconstruction_losses(wave, wave_hat, 16000, LossConfig(perceptual=0))
    losses = reconstruction_losses(wave, wave_hat, 16000, LossConfig(perceptual=2))
    assert float(losses["perceptual"]) == pytest.approx(2 * float(perceptual_loss(wave, wave_hat, 16000)))
