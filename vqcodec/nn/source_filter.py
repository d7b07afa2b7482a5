"""The last layer of a decoder as a source and a filter: above some 1.5 kHz only an envelope is decoded, and its fine
structure is made from what lies below.

Where the phase of a harmonic is not known, the best guess of any regression is a blur; but the pulses of a voice are
in its low band too. The low band, decoded as a complex spectrum, is completed by overlap-add and half-wave rectified,
which puts a pulse with harmonics of any order into each period of the voice. The spectrum of these pulses, made flat,
and noise are the source; the smoothed magnitudes of the decoded spectrum are the filter. Speech coders of old made
their high frequencies from a baseband in this way (Makhoul and Berouti 1979); here shares and gains are learned.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.conv import Streaming, overlap_add, overlapping
from vqcodec.nn.encoder import fourier_basis
from vqcodec.nn.linear import Linear

NOISE_FRAMES = 512
"""STFT frames after which the noise repeats: 2.6 s at 200 per second."""

_AVERAGED = 4
"""Frames over which the power of the pulses is averaged: some have no pulse, and must not be raised to the others."""

_SILENCE = 1e-8
"""The least power of a band. (Added instead, the exporter's optimizer would take so small a number for 0.)"""

_GATE, _GAIN, _MIX = range(3)


class SourceFilter(Streaming):
    """Features -> spectrum, gates, gains and mix per band -> direct sound, pulses and noise -> wave.

    Shape: features [B, S, channels] -> wave [B, S * stft_hop], which lags the features' time by
    `delay_samples = window_length`: overlap-add completes the low band `window_length - stft_hop` samples late, and
    the windows of the source, two hops long, overlap by one.
    Past: one vector per stream with all that `_parts` lists. Its first number is that of the next STFT frame, modulo
    NOISE_FRAMES: the place in the table of noise, so that the same frames of a file always sound the same.
    """

    # What `register_buffer` makes of `_constants`.
    synthesis: Tensor
    low_synthesis: Tensor
    short_analysis: Tensor
    short_synthesis: Tensor
    bands: Tensor
    bins: Tensor
    short_bands: Tensor
    short_bins: Tensor
    noise: Tensor
    numbers: Tensor

    def __init__(
        self, channels: int, *, window_length: int, stft_hop: int, sample_rate_hz: int, source_hz: int
    ) -> None:
        super().__init__()
        self.window_length, self.stft_hop = window_length, stft_hop
        self.delay_samples = window_length
        self.norm = nn.LayerNorm(channels)
        self.to_spectrum = Linear(channels, window_length + 2)
        nn.init.normal_(self.to_spectrum.weight, std=0.02)
        nn.init.zeros_(self.to_spectrum.bias)
        centres_hz = band_centres(sample_rate_hz, stft_hop)
        self.to_controls = Linear(channels, 3 * len(centres_hz))
        nn.init.zeros_(self.to_controls.weight)
        start = torch.zeros(3, len(centres_hz))
        start[_GATE] = ((centres_hz - 4 / 3 * source_hz) / 100).clamp(-10, 10)
        start[_GAIN] = -0.4
        start[_MIX] = ((centres_hz - 4500) / 1200).clamp(-4, 2)
        self.to_controls.bias.data = start.flatten()
        for name, value in _constants(window_length, stft_hop, sample_rate_hz, source_hz).items():
            self.register_buffer(name, value, persistent=False)
        # The middle of the source's newest window lies this many frames before that of the spectrum's.
        self.lag = window_length // (2 * stft_hop)
        overlap, bands = window_length - stft_hop, len(centres_hz)
        self._parts = [1, window_length, overlap, stft_hop, (_AVERAGED - 1) * bands, bands, self.lag * 3 * bands]
        self.past_shape = (sum(self._parts),)
        self.context_samples = window_length + overlap + (self.lag + _AVERAGED) * stft_hop

    @override
    def forward(self, features: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesize after the `past`; see the class for shapes."""
        if past is None:
            past = features.new_zeros(len(features), *self.past_shape, dtype=torch.float32)
        features = self.norm(features)
        parts = self.to_spectrum(features).float().unflatten(-1, (-1, 2))
        controls = self.to_controls(features).float().unflatten(-1, (3, -1))
        if torch.compiler.is_compiling():
            return self._synthesize(parts, controls, past)
        # Training in half precision would round the transforms too, and with them the wave.
        with torch.autocast(features.device.type, enabled=False):
            return self._synthesize(parts, controls, past)

    def _synthesize(self, parts: Tensor, mine: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Wave and new past of compressed `parts` [B, S, bins, 2] and what is said of gates, gains and mix."""
        count = parts.shape[1]
        position, pending, low_tail, low, powers, power, controls = torch.split(past, self._parts, dim=1)
        # Magnitudes were raised to 0.3 (see encoder.py), so this is about the inverse: |r|^3 with the phase of r.
        spectrum = 0.2 * parts * (parts.square().sum(-1, keepdim=True) + 1e-8)
        level, power = self._level(spectrum, power)
        direct = spectrum * torch.sigmoid(-mine[:, :, _GATE] @ self.bins)[..., None]
        mine = torch.stack((mine[:, :, _GATE], mine[:, :, _GAIN] + level, mine[:, :, _MIX]), dim=2)
        delayed = torch.cat((controls.view(-1, self.lag, *mine.shape[2:]), mine), dim=1)
        pulses, low_tail, low = self._pulses(spectrum, low_tail, low)
        noise, position = self._noise(position, count)
        source, powers = self._source(delayed[:, :count], pulses, powers, noise)
        hop = self.stft_hop
        frames = F.pad(direct.flatten(2) @ self.synthesis, (hop, 0))
        frames = frames + F.pad(source.flatten(2) @ self.short_synthesis, (0, self.window_length - hop))
        wave = overlap_add(frames, hop, pending)
        new = (position, wave[:, count * hop :], low_tail, low, powers, power, delayed[:, count:].flatten(1))
        return wave[:, : count * hop], torch.cat(new, dim=1)

    def _level(self, spectrum: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Log magnitude per band, [B, S, bands], of `spectrum` [B, S, bins, 2], and the last power, for the next call.

        Of the mean power of a frame and the one before: those of one latent are strong and weak by turns, which
        overlap-add hides and an envelope would not.
        """
        power = torch.cat((before.unsqueeze(1), spectrum.square().sum(-1) @ self.bands), dim=1)
        mean = 0.5 * (power[:, 1:] + power[:, :-1])
        return 0.5 * torch.log(mean.clamp(min=_SILENCE)), power[:, -1]

    def _pulses(self, spectrum: Tensor, tail: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spectra [B, S, stft_hop + 1, 2] of the rectified low band; its unfinished tail and its last samples."""
        frames = spectrum.flatten(2)[:, :, : len(self.low_synthesis)] @ self.low_synthesis
        low = overlap_add(frames, self.stft_hop, tail)
        count = frames.shape[1] * self.stft_hop
        low, tail = torch.cat((before, low[:, :count]), dim=1), low[:, count:]
        pieces = overlapping(F.relu(-low).unsqueeze(2), 2 * self.stft_hop, self.stft_hop)
        pulses = pieces @ self.short_analysis
        return pulses.view(*pulses.shape[:2], -1, 2), tail, low[:, -self.stft_hop :]

    def _source(self, controls: Tensor, pulses: Tensor, before: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra [B, S, stft_hop + 1, 2] of pulses, made flat, and noise under the envelope; powers for the next call.

        `controls` [B, S, 3, bands]: gate, log magnitude and mix.
        """
        power = pulses.square().sum(-1) @ self.short_bands
        powers = torch.cat((before.view(len(before), -1, power.shape[2]), power), dim=1)
        mean = overlapping(powers, _AVERAGED, 1).view(*power.shape[:2], _AVERAGED, -1).mean(2)
        gate = torch.sigmoid(controls[:, :, _GATE] @ self.short_bins)
        mix = torch.sigmoid(controls[:, :, _MIX] @ self.short_bins)
        level = controls[:, :, _GAIN] @ self.short_bins
        flat = torch.exp(level - 0.5 * torch.log(mean.clamp(min=_SILENCE)) @ self.short_bins)
        # Pulses and noise have no phase in common: their powers add up to the envelope's.
        pulses = pulses * (gate * flat * torch.sqrt(1 - 0.99 * mix * mix))[..., None]
        return pulses + noise * (gate * mix * torch.exp(level))[..., None], powers[:, -(_AVERAGED - 1) :].flatten(1)

    def _noise(self, position: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The table's next `count` frames [B, count, stft_hop + 1, 2] after `position` [B, 1], and the position then.

        Numbers become indices, and the other way round, by looking them up: onnxruntime casts between all types in one
        function, of 490 KB, and browsers take seconds and 200 MB to compile it.
        """
        start = (position - self.numbers).abs().argmin(dim=1, keepdim=True)
        frames = (start + torch.arange(count, device=position.device)) % NOISE_FRAMES
        return self.noise[frames], self.numbers[(start + count) % NOISE_FRAMES]


def _constants(window_length: int, stft_hop: int, sample_rate_hz: int, source_hz: int) -> dict[str, Tensor]:
    """Windowed transforms as matrices, bands of both kinds of spectra, and the noise."""
    hann = torch.hann_window(window_length)
    short = torch.sin(torch.pi * (torch.arange(2 * stft_hop) + 0.5) / (2 * stft_hop))
    synthesis = inverse_basis(hann / hann.square().sum() * stft_hop)
    hz = torch.linspace(0, sample_rate_hz / 2, window_length // 2 + 1)
    short_hz = torch.linspace(0, sample_rate_hz / 2, stft_hop + 1)
    centres_hz = band_centres(sample_rate_hz, stft_hop)
    low = torch.sigmoid((source_hz - hz) / 40)
    low = low[low > 1e-3].repeat_interleave(2)
    # A level is that of the spectrum, under another window.
    short_synthesis = inverse_basis(short) * (short.square().sum() / hann.square().sum()).sqrt()
    return {
        "synthesis": synthesis,
        "low_synthesis": synthesis[: len(low)] * low[:, None],
        "short_analysis": fourier_basis(short).T.contiguous(),
        "short_synthesis": short_synthesis,
        "bands": band_filters(hz, centres_hz),
        "bins": interpolation(centres_hz, hz),
        "short_bands": band_filters(short_hz, centres_hz),
        "short_bins": interpolation(centres_hz, short_hz),
        "noise": noise_table(NOISE_FRAMES, stft_hop + 1),
        "numbers": torch.arange(NOISE_FRAMES, dtype=torch.float32),
    }


def inverse_basis(window: Tensor) -> Tensor:
    """Make the inverse Fourier transform, windowed, a matrix [window + 2, window]; real and imaginary parts in turn."""
    weights = torch.full((len(window) + 2, 1), 2 / len(window))
    weights[[0, 1, -2, -1]] /= 2  # all bins but the first and the last stand for two
    return fourier_basis(window) * weights


def band_centres(sample_rate_hz: int, stft_hop: int) -> Tensor:
    """Return the centres of the bands of an envelope: 250 Hz apart below 4 kHz, 500 above, or as bins allow."""
    bin_hz = sample_rate_hz / (2 * stft_hop)
    narrow, wide = max(250.0, 2 * bin_hz), max(500.0, 2 * bin_hz)
    top = sample_rate_hz / 2
    lower = torch.arange(0, min(4000.0, top), narrow)
    return torch.cat((lower, torch.arange(float(lower[-1]) + narrow, top + wide / 2, wide)))


def band_filters(hz: Tensor, centres_hz: Tensor) -> Tensor:
    """Return triangles [bins, bands] that reach to the neighbouring centres and average the bins under them."""
    weights = interpolation(centres_hz, hz).T
    return weights / weights.sum(0)


def interpolation(centres_hz: Tensor, hz: Tensor) -> Tensor:
    """Return weights [bands, bins] of straight lines between bands; constant beyond the last."""
    upper = torch.searchsorted(centres_hz, hz.contiguous(), right=True).clamp(1, len(centres_hz) - 1)
    share = ((hz - centres_hz[upper - 1]) / (centres_hz[upper] - centres_hz[upper - 1])).clamp(max=1)
    weights = torch.zeros(len(centres_hz), len(hz))
    bins = torch.arange(len(hz))
    weights[upper, bins] = share
    weights[upper - 1, bins] = 1 - share
    return weights


def noise_table(frames: int, bins: int) -> Tensor:
    """Draw numbers [frames, bins, 2] of magnitude 1 and random phase, the same on every machine and for every version.

    Phases by squaring modulo a prime, twice: exact in 64 bits, without a generator that may change.
    """
    prime = 2**31 - 1
    numbers = torch.arange(1, frames * bins + 1)
    for multiplier in (48271, 69621, 1103515245):
        numbers = (numbers * multiplier) % prime
        numbers = (numbers * numbers + 12345) % prime
    phases = (numbers.double() * (2 * torch.pi / prime)).float()
    return torch.stack((phases.cos(), phases.sin()), dim=-1).view(frames, bins, 2)
