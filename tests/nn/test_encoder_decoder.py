"""Encoder and decoder: shapes, causality, and the same whole or in pieces."""

import numpy as np
import torch

from vqcodec.nn.decoder import Decoder, InverseSpectrum
from vqcodec.nn.encoder import COMPRESSION, CompressedSpectrum, Encoder
from vqcodec.nn.sizes import Sizes

SIZES = Sizes(
    window_length=32, stft_hop=8, stride=4, stft_channels=8, channels=12, stft_blocks=1, blocks=2, latent_dim=6
)


def test_the_spectrum_is_numpys_with_compressed_magnitudes():
    torch.manual_seed(0)
    wave = torch.randn(1, 80)
    out, _ = CompressedSpectrum(32, 8)(wave)
    padded = np.pad(wave[0].numpy(), (24, 0))
    window = np.hanning(33)[:-1]
    for frame in range(10):
        spectrum = np.fft.rfft(padded[8 * frame : 8 * frame + 32] * window)
        wanted = 2 * np.abs(spectrum) ** COMPRESSION * np.exp(1j * np.angle(spectrum))
        got = out[0, frame].view(-1, 2).numpy()
        assert np.allclose(got[:, 0] + 1j * got[:, 1], wanted, atol=1e-3)


def test_the_head_inverts_the_spectrum_of_the_encoder():
    """With a layer that passes the spectrum on, overlap-add gives the wave back, `delay_samples` late."""
    torch.manual_seed(0)
    wave = torch.randn(1, 160)
    features, _ = CompressedSpectrum(32, 8)(wave)
    head = InverseSpectrum(34, window_length=32, stft_hop=8)
    head.norm = torch.nn.Identity()
    # The head computes 0.2 |r|^2 r, so r = X / |X| * (|X| / 0.2)^(1/3).
    power = (features.view(1, -1, 17, 2) / 2).square().sum(-1, keepdim=True)
    magnitude = power.sqrt() ** (1 / COMPRESSION)
    direction = features.view(1, -1, 17, 2) / 2 / power.sqrt()
    wanted = direction * (magnitude / 0.2) ** (1 / 3)
    head.to_spectrum = torch.nn.Identity()
    out, past = head(wanted.flatten(2))
    assert past.shape == (1, head.delay_samples)
    # The first window has no past to overlap with.
    assert torch.allclose(out[:, 24:160], wave[:, : 160 - 24], atol=1e-3)


def test_frames_of_the_encoder_see_no_later_sample():
    torch.manual_seed(0)
    encoder = Encoder(SIZES)
    wave = torch.randn(1, 320)
    changed = wave.clone()
    changed[:, 160:] = torch.randn(1, 160)
    before, after = encoder(wave)[0], encoder(changed)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5], after[:, 5])


def test_samples_of_the_decoder_see_no_later_frame():
    torch.manual_seed(0)
    decoder = Decoder(SIZES)
    latent = torch.randn(1, 10, 6)
    changed = latent.clone()
    changed[:, 5:] += 1
    before, after = decoder(latent)[0], decoder(changed)[0]
    assert torch.equal(before[:, :160], after[:, :160])
    assert not torch.allclose(before[:, 160:192], after[:, 160:192])


def test_pieces_of_both_equal_the_whole():
    torch.manual_seed(0)
    for layer, x, sizes in (
        (Encoder(SIZES), torch.randn(2, 320), [32, 64, 224]),
        (Decoder(SIZES), torch.randn(2, 10, 6), [1, 2, 7]),
    ):
        whole, _ = layer(x)
        state, pieces = None, []
        for piece in x.split(sizes, dim=1):
            y, state = layer(piece, state)
            pieces.append(y)
        assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-5)
