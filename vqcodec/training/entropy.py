"""Fitting the entropy model of a codec to the codes of speech: small networks in float, then rounded to integers.

The networks and their use are described in `vqcodec.bitstream.spec`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.arrays import StoredCodes
from vqcodec.audio.discover import Clip
from vqcodec.audio.reader import AudioReader
from vqcodec.audio.resample import Resampler
from vqcodec.bitstream.entropy import HIDDEN_MAX, NARROW_MAX, EntropyModel
from vqcodec.bitstream.spec import DEFAULT_FRAMES_PER_CHUNK
from vqcodec.errors import TrainingError
from vqcodec.models.codec import Codec
from vqcodec.training.muon import muon
from vqcodec.training.schedule import set_rate

_LEVELS_PER_OCTAVE = 32
_DECAY_BITS = 20
_WEIGHT_MAX = 127
_LEVELS_STD = 0.3
_CALIBRATION_CONTEXTS = 65536


@dataclass(frozen=True)
class EntropyFit:
    """How to fit. `layers`: codebooks that get a network; `epochs`, `batch_size`, `learning_rate`: of Muon."""

    layers: int = 8
    epochs: int = 2
    hidden: int = 200
    own_lags: tuple[int, ...] = (-2, -1)
    lower_lags: tuple[int, ...] = (-1, 0, 1)
    batch_size: int = 512
    learning_rate: float = 5e-3
    seed: int = 0


def collect_codes(codec: Codec, clips: Iterable[Clip], *, shifts: Sequence[float] = (0.0,)) -> Iterator[StoredCodes]:
    """Yield the codes uint16 [K, F] of every clip, once per shift of its start, in frames.

    Of every channel, or of the one that its row names. Raises AudioError for a clip that cannot be read, holds no
    samples or not that channel, or ends before its excerpt does.
    """
    for clip in clips:
        with AudioReader(clip.path) as audio:
            excerpt, name = clip.excerpt(), str(clip.path)
            resampler = Resampler(audio.rate_hz, codec.sample_rate_hz, excerpt.channels_in(audio, name))
            blocks = excerpt.read(audio, audio.rate_hz, name)
            parts = [resampler.push(block) for block in blocks]
            wave = np.concatenate([*parts, resampler.flush()], axis=1)
        for shift in shifts:
            for channel in wave[:, round(shift * codec.hop_length) :]:
                if len(channel):
                    codes = codec.encode(torch.from_numpy(np.ascontiguousarray(channel))[None, None])
                    yield codes[0].cpu().numpy().astype(np.uint16)


class _Network(nn.Module):
    """Context -> logits, as the integer network computes them."""

    def __init__(self, inputs: int, vectors: Tensor, config: EntropyFit) -> None:
        super().__init__()
        codes, dim = vectors.shape
        self.hidden = nn.Linear(inputs, config.hidden)
        self.narrow = nn.Linear(config.hidden, dim)
        self.levels = nn.Linear(dim, codes)
        # StoredCodes whose vectors are near each other are likely together: a start from there learns much faster.
        nn.init.zeros_(self.levels.bias)
        with torch.no_grad():
            self.levels.weight.copy_(vectors * (_LEVELS_STD / vectors.std().clamp(min=1e-6)))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Compute contexts [N, inputs] -> logits [N, codes]."""
        logits: Tensor = self.levels(self.narrow(torch.relu(self.hidden(x))))
        return logits


class _Contexts:
    """Contexts of all frames, made for a batch at a time."""

    def __init__(self, summed: Tensor, position: Tensor, ends: Tensor, lags: Sequence[int]) -> None:
        self.summed, self.position, self.ends, self.lags = summed, position, ends, lags

    def __call__(self, frames: Tensor) -> Tensor:
        """Embedding sums [N, L * dim] around `frames` [N], zeros outside their chunks."""
        parts = []
        for lag in self.lags:
            there = self.position[frames] + lag
            inside = (there >= 0) & (there < self.ends[frames])
            other = (frames + lag).clamp(0, len(self.summed) - 1)
            parts.append(self.summed[other].float() * inside[:, None])
        return torch.cat(parts, dim=1)


def fit_entropy(
    codec: Codec, codes: Sequence[StoredCodes], config: EntropyFit, *, report: Callable[[str], None] = print
) -> dict[str, NDArray[Any]]:
    """Return the tensors of an EntropyModel, fitted to `codes`, a list of [K, F].

    Raises TrainingError if there are none.
    """
    if not any(clip.shape[1] for clip in codes):
        raise TrainingError("no audio to fit the entropy model to; give speech like the model's training data")
    torch.manual_seed(config.seed)
    layers, tables = min(config.layers, codec.total_codebooks), _tables(codec)
    embedding = _embedding(codec, layers)
    position, ends = _chunk_positions([clip.shape[1] for clip in codes])
    stacked = np.concatenate([clip[:layers] for clip in codes], axis=1)
    tensors: dict[str, NDArray[Any]] = {"embedding": embedding, "decay": _decay()}
    summed = torch.zeros(stacked.shape[1], embedding.shape[2], dtype=torch.int16)
    first_embedded = torch.from_numpy(embedding[0].astype(np.int16))[torch.from_numpy(stacked[0].astype(np.int64))]
    for layer in range(layers):
        target = torch.from_numpy(stacked[layer].astype(np.int64))
        lags = config.own_lags if layer == 0 else config.lower_lags
        contexts = _Contexts(first_embedded if layer == 0 else summed, position, ends, lags)
        network, bits = _fit_layer(contexts, target, tables[layer], config)
        report(f"codebook {layer}: {bits:.3f} bits per code in training")
        sample = contexts(torch.randperm(len(target))[:_CALIBRATION_CONTEXTS])
        tensors |= {f"{layer}.{name}": value for name, value in _rounded(network, sample).items()}
        tensors[f"{layer}.lags"] = np.array(lags, np.int32)
        summed += torch.from_numpy(embedding[layer].astype(np.int16))[target]
    return tensors


def measured_bits(tensors: dict[str, NDArray[Any]], codes: Sequence[StoredCodes]) -> list[float]:
    """Return the bits per code of each layer of `codes`, a list of [K, F], coded in chunks as shipped."""
    model = EntropyModel(tensors)
    total = [0] * model.num_layers
    for clip in codes:
        for start in range(0, clip.shape[1], DEFAULT_FRAMES_PER_CHUNK):
            chunk = clip[None, :, start : start + DEFAULT_FRAMES_PER_CHUNK]
            for layer in range(model.num_layers):
                total[layer] += len(model.encode_layer(chunk[:, layer], chunk[:, :layer]))
    frames = sum(clip.shape[1] for clip in codes)
    return [8 * count / frames for count in total]


def _fit_layer(contexts: _Contexts, target: Tensor, vectors: Tensor, config: EntropyFit) -> tuple[_Network, float]:
    """Train the network of one layer, whose codebook is `vectors` [codebook_size, dim].

    Also returns its mean bits per code over the last tenth of the training.
    """
    scale = contexts(torch.arange(min(len(target), _CALIBRATION_CONTEXTS))).std().clamp(min=1e-3)
    network = _Network(len(contexts.lags) * contexts.summed.shape[1], vectors, config)
    optimizer = muon(network, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    batch = min(config.batch_size, len(target))
    steps = max(1, config.epochs * (len(target) // batch))
    order = torch.empty(0, dtype=torch.int64)
    late: list[float] = []
    for step in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(target))
        rows, order = order[:batch], order[batch:]
        set_rate(optimizer, config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps)))
        loss = F.cross_entropy(network(contexts(rows) / scale), target[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step >= 0.9 * steps:
            late.append(loss.item() / math.log(2))
    with torch.no_grad():
        network.hidden.weight /= scale
    return network.eval(), sum(late) / max(1, len(late))


@torch.no_grad()
def _rounded(network: _Network, sample: Tensor) -> dict[str, NDArray[Any]]:
    """The network in integers, scaled by what its units reach over the contexts `sample` [N, inputs]."""
    tensors: dict[str, NDArray[Any]] = {}
    x = sample
    scale_in = torch.ones(x.shape[1])
    for name in ("hidden", "narrow", "levels"):
        layer: nn.Linear = getattr(network, name)
        x = layer(x)
        if name == "levels":
            scale_out = torch.full((x.shape[1],), _LEVELS_PER_OCTAVE / math.log(2))
        elif name == "narrow":
            scale_out = NARROW_MAX / (1.1 * x.abs().amax(dim=0)).clamp(min=1e-3)
        else:
            x = torch.relu(x)
            scale_out = HIDDEN_MAX / (1.1 * x.amax(dim=0)).clamp(min=1e-3)
        weight = layer.weight.double() * scale_out[:, None] / scale_in[None, :]
        # As many bits behind the point as the row's largest weight leaves room for.
        largest = weight.abs().amax(dim=1).clamp(min=1e-9)
        shift = torch.floor(torch.log2(_WEIGHT_MAX / largest)).clamp(0, 16)
        bias = layer.bias.double() * scale_out * 2**shift + torch.where(shift > 0, 2 ** (shift - 1), 0)
        tensors[f"{name}.weight"] = (weight * 2 ** shift[:, None]).round().clamp(-127, 127).numpy().astype(np.int8)
        tensors[f"{name}.bias"] = bias.round().numpy().astype(np.int32)
        tensors[f"{name}.shift"] = shift.numpy().astype(np.int32)
        scale_in = scale_out
    return tensors


def _tables(codec: Codec) -> Tensor:
    """What each code adds to the latent of its frame, [K, codebook_size, dim]."""
    return codec.quantizer.table().detach().cpu().view(codec.total_codebooks, codec.codebook_size, -1)


def _embedding(codec: Codec, layers: int) -> NDArray[np.int8]:
    """The codebooks' vectors in one integer scale, int8 [layers, codebook_size, dim]."""
    vectors = _tables(codec)[:layers]
    return (vectors * (_WEIGHT_MAX / vectors.abs().max())).round().numpy().astype(np.int8)


def _decay() -> NDArray[np.int32]:
    """Weights of codes by how far their level is below the best."""
    levels = np.arange(_DECAY_BITS * _LEVELS_PER_OCTAVE + 1)
    return np.round(2.0 ** (_DECAY_BITS - levels / _LEVELS_PER_OCTAVE)).astype(np.int32)


def _chunk_positions(lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return of every frame of clips of `lengths` its position in its chunk, and the frames of that chunk."""
    size = DEFAULT_FRAMES_PER_CHUNK
    frames = [torch.arange(length) for length in lengths]
    position = torch.cat([frame % size for frame in frames])
    ends = torch.cat(
        [(length - frame // size * size).clamp(max=size) for length, frame in zip(lengths, frames, strict=True)]
    )
    return position, ends
