import numpy as np
import pytest
import torch

from vqcodec.nn.decoder import Decoder
from vqcodec.nn.encoder import COMPRESSION, CompressedSpectrum
from vqcodec.nn.sizes import Sizes
from vqcodec.nn.source_filter import NOISE_FRAMES, SourceFilter, band_centres, band_filters, interpolation, noise_table

RATE_HZ = 16000


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    sizes = Sizes(
        window_length=320, stft_hop=80, stride=4, stft_channels=8, channels=12, stft_blocks=1, blocks=2, latent_dim=6
    )
    return Decoder(sizes, sample_rate_hz=RATE_HZ, source_hz=1200)


@pytest.fixture
def head():
    """A head that passes on the spectrum that it is given, its gains and mixes as they begin."""
    head = SourceFilter(322, window_length=320, stft_hop=80, sample_rate_hz=RATE_HZ, source_hz=1200)
    head.norm, head.to_spectrum = torch.nn.Identity(), torch.nn.Identity()
    return head


def features_of(wave):
    """What `head` makes the spectrum of `wave` [1, T] from: r = X / |X| * (|X| / 0.2)^(1/3)."""
    parts = CompressedSpectrum(320, 80)(wave)[0].view(1, -1, 161, 2) / 2
    magnitude = parts.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    return (parts / magnitude * (magnitude ** (1 / COMPRESSION) / 0.2) ** (1 / 3)).flatten(2)


def set_controls(head, **biases):
    """Give all bands the same gate, gain or mix."""
    values = head.to_controls.bias.data.view(3, -1)
    for row, name in enumerate(("gate", "gain", "mix")):
        if name in biases:
            values[row] = biases[name]


def test_pieces_equal_the_whole(decoder):
    latent = torch.randn(2, 20, 6)
    whole, _ = decoder(latent)
    for sizes in ([1, 2, 7, 10], [1] * 20, [19, 1]):
        state, pieces = None, []
        for piece in latent.split(sizes, dim=1):
            wave, state = decoder(piece, state)
            pieces.append(wave)
        assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-5)


def test_samples_see_no_later_frame(decoder):
    latent = torch.randn(1, 10, 6)
    changed = latent.clone()
    changed[:, 5:] += 1
    before, after = decoder(latent)[0], decoder(changed)[0]
    assert torch.equal(before[:, : 5 * 320], after[:, : 5 * 320])
    assert not torch.allclose(before[:, 5 * 320 : 6 * 320], after[:, 5 * 320 : 6 * 320])


def test_noise_goes_on_where_a_stream_begins_late(decoder):
    """The place in the table comes with the number of the first latent, beyond one period of it too."""
    decoder.head.to_spectrum.weight.data *= 10  # loud enough to hear
    latent = torch.randn(1, 10, 6).repeat(1, 20, 1)
    whole, _ = decoder(latent)
    late, _ = decoder(latent[:, 150:], decoder.start(1, 150))
    settled = 25 * 320
    assert torch.allclose(late[:, settled:], whole[:, 150 * 320 + settled :], atol=1e-5)
    early, _ = decoder(latent[:, 150:])
    assert not torch.allclose(early[:, settled:], whole[:, 150 * 320 + settled :], atol=1e-3)


def test_closed_gates_give_the_spectrum_back(head):
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(1, 3200)
    set_controls(head, gate=-30.0)
    out, _ = head(features_of(wave))
    # The spectrum's first window ends with the first hop; the head's lag is the window.
    assert torch.allclose(out[:, 320:], wave[:, : 3200 - 320][:, -(3200 - 320) :], atol=2e-3)


def test_half_precision_rounds_neither_transforms_nor_bands(head):
    torch.manual_seed(0)
    features = features_of(0.1 * torch.randn(1, 3200))
    set_controls(head, gate=0.5, gain=0.0, mix=-1.0)  # no rounding in these
    wanted, _ = head(features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = head(features)
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted, atol=1e-6)


def test_pulses_come_where_the_low_band_has_them(head):
    """Noise above a voice's low band becomes pulses at its pitch, as loud as the noise."""
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    low = sum(np.cos(2 * np.pi * 125 * k * time) for k in range(1, 9)) / 20
    spectrum = np.fft.rfft(rng.standard_normal(len(time)) * 0.02)
    spectrum[: 2 * 1500] = 0
    wave = torch.from_numpy((low + np.fft.irfft(spectrum)).astype(np.float32))[None]
    features = features_of(wave)
    set_controls(head, mix=-9.0, gain=0.0)
    with torch.no_grad():
        pulses, _ = head(features)
        set_controls(head, gate=-30.0)
        plain, _ = head(features)
    upper, blurred = (band_of(x[0, 8000:].numpy()) for x in (pulses, plain))
    assert periodicity(upper, RATE_HZ // 125) > 0.7
    assert abs(periodicity(blurred, RATE_HZ // 125)) < 0.2
    assert abs(10 * np.log10(np.mean(upper**2) / np.mean(blurred**2))) < 3


def band_of(wave):
    """`wave` from 2 to 4 kHz."""
    spectrum = np.fft.rfft(wave)
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    return np.fft.irfft(np.where((hz > 2000) & (hz < 4000), spectrum, 0))


def periodicity(wave, lag):
    """Correlation of the smoothed envelope with itself `lag` samples later."""
    envelope = np.convolve(np.abs(wave), np.hanning(25), "same")
    return np.corrcoef(envelope[:-lag], envelope[lag:])[0, 1]


def test_noise_is_the_same_everywhere_and_white():
    table = noise_table(NOISE_FRAMES, 81)
    assert torch.allclose(table.norm(dim=-1), torch.ones(NOISE_FRAMES, 81), atol=1e-6)
    # Written down once: files must sound the same for ever.
    assert torch.allclose(table[[0, 3, 511], [0, 7, 80]].flatten(), EXPECTED_NOISE, atol=1e-6)
    numbers = torch.view_as_complex(table)
    assert numbers.mean().abs() < 0.02
    assert (numbers[1:] * numbers[:-1].conj()).mean().abs() < 0.02
    assert (numbers[:, 1:] * numbers[:, :-1].conj()).mean().abs() < 0.02


EXPECTED_NOISE = torch.tensor([0.0264464, 0.9996502, 0.5792384, -0.8151582, -0.1387777, 0.9903235])


@pytest.mark.parametrize(("rate_hz", "hop"), [(16000, 80), (8000, 40), (48000, 240), (16000, 8)])
def test_bands_cover_all_bins_and_keep_what_is_flat(rate_hz, hop):
    centres_hz = band_centres(rate_hz, hop)
    hz = torch.linspace(0, rate_hz / 2, hop + 1)
    filters, lines = band_filters(hz, centres_hz), interpolation(centres_hz, hz)
    assert torch.allclose(torch.ones(hop + 1) @ filters, torch.ones(len(centres_hz)), atol=1e-5)
    assert torch.allclose(torch.ones(len(centres_hz)) @ lines, torch.ones(hop + 1), atol=1e-5)
