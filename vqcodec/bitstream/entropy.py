"""The context model of entropy-coded layers: how likely each code is, from integers alone (see `spec`).

A layer's network looks at codes that the decoder has already: its own past for the first codebook, the codebooks
below, on both sides in time, for every other. Nothing here rounds, so every machine finds the same weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, StoredCodes
from vqcodec.bitstream.rangecoder import RangeDecoder, RangeEncoder
from vqcodec.errors import ModelError

Integers = NDArray[np.int32]

HIDDEN_MAX = 255
NARROW_MAX = 127
_BLOCK_ELEMENTS = 1 << 18
"""Weights that are worked on at a time."""
_FLOAT32_EXACT = 1 << 24
_SUM_MAX = (1 << 30) - 1
"""Sums, and so levels, stay below a quarter of 32 bits: their differences fit as well."""
_MAX_WEIGHT = 1 << 24


@dataclass(frozen=True)
class Affine:
    """(weight @ x + bias) >> shift: `weight` int8 [out, in], `bias` int32 [out], `shift` int32 [out], 0 to 31."""

    weight: NDArray[np.int8]
    bias: Integers
    shift: Integers

    def __call__(self, exact: NDArray[Any], x: NDArray[Any]) -> Integers:
        """The outputs [n, out] for integers x [n, in]; `exact` is the weight in the type that holds every sum."""
        sums: Integers = (x.astype(exact.dtype, copy=False) @ exact).astype(np.int32)
        sums += self.bias
        sums >>= self.shift
        return sums


@dataclass(frozen=True)
class LayerModel:
    """The network of one layer: context -> hidden -> narrow -> a level per code. `lags` in frames, int32 [L]."""

    lags: Integers
    hidden: Affine
    narrow: Affine
    levels: Affine
    # The weights transposed, as floats that hold every sum exactly: BLAS is ten times faster than numpy's integers.
    exact: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


class EntropyModel:
    """Weights of the next code, for the first `num_layers` codebooks of a model.

    `tensors`: those of the weights file under "entropy.", without that prefix. Raises ModelError if they are not a
    model of the format.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.tensors = dict(tensors)
        self.embedding = _tensor(tensors, "embedding", np.int8, 3)
        self.decay = _tensor(tensors, "decay", np.int32, 1)
        self.num_layers, self.codebook_size, self._dim = self.embedding.shape
        if not len(self.decay) or self.decay.min() < 1 or self.decay.max() > _MAX_WEIGHT:
            raise ModelError("the entropy model's decay has weights outside 1 to 2 ** 24")
        self._layers = [self._layer(tensors, layer_index) for layer_index in range(self.num_layers)]

    def encode_layer(self, codes: StoredCodes, lower: StoredCodes) -> bytes:
        """Return the bytes of a layer's codes [C, F]; `lower` [C, k, F] are those of the k codebooks below."""
        coder = RangeEncoder()
        for channel, below in zip(codes, lower, strict=True):
            self.encode_channel(coder, channel, below)
        return coder.finish()

    def encode_channel(self, coder: RangeEncoder, codes: NDArray[Any], lower: NDArray[Any]) -> None:
        """Append a layer's codes [F] of one channel above `lower` [k, F]; where they are -1 there is nothing."""
        layer_index = len(lower)
        contexts = self._contexts(layer_index, lower if layer_index else codes)
        present = codes >= 0
        contexts, codes = contexts[present], codes[present]
        for rows in self._blocks(len(codes)):
            weights = self._weights(layer_index, contexts[rows])
            ends = np.cumsum(weights, axis=1, dtype=np.int64)
            column = codes[rows].astype(np.intp)[:, None]
            code_weights = np.take_along_axis(weights, column, axis=1)[:, 0].tolist()
            end = np.take_along_axis(ends, column, axis=1)[:, 0].tolist()
            for weight, last, total in zip(code_weights, end, ends[:, -1].tolist(), strict=True):
                coder.encode(last - weight, weight, total)

    def code_bits(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """Tell about how many bits each of the codes [K, F] of one channel takes, K <= num_layers: [K, F]. -1: none."""
        bits = np.zeros(codes.shape, np.float32)
        for index, layer in enumerate(codes):
            contexts = self._contexts(index, codes[:index] if index else layer)
            for rows in self._blocks(len(layer)):
                weights = self._weights(index, contexts[rows])
                chosen = np.take_along_axis(weights, layer[rows].astype(np.intp)[:, None].clip(0), axis=1)[:, 0]
                bits[index, rows] = np.log2(weights.sum(axis=1, dtype=np.int64) / chosen) * (layer[rows] >= 0)
        return bits

    def decode_layer(self, data: bytes, lower: StoredCodes, *, until: int | None = None) -> StoredCodes:
        """Decode codes [C, F] of a layer's bytes above `lower` [C, k, F]. Raises BitstreamError for impossible bytes.

        Of the last channel the codes from frame `until` on (None: nowhere) are zeros, not decoded.
        """
        coder = RangeDecoder(data)
        channels, _, frames = lower.shape
        codes = np.zeros((channels, frames), np.uint16)
        for channel_index, below in enumerate(lower):
            end = frames if until is None or channel_index < channels - 1 else min(frames, until)
            self.decode_channel(coder, codes[channel_index], below, np.arange(end))
        return codes

    def decode_channel(
        self, coder: RangeDecoder, codes: NDArray[Any], lower: NDArray[Any], frames: NDArray[np.intp]
    ) -> None:
        """Fill in `codes` [F] of one channel above `lower` [k, F] at the ascending `frames`, which have codes.

        Raises BitstreamError for impossible bytes.
        """
        layer_index = len(lower)
        if layer_index == 0:
            self._decode_first(coder, codes, frames)
            return
        contexts = self._contexts(layer_index, lower)
        for rows in self._blocks(len(frames)):
            ends = np.cumsum(self._weights(layer_index, contexts[frames[rows]]), axis=1, dtype=np.int64)
            codes[frames[rows]] = [_decode_code(coder, row) for row in ends]

    def frames_needed(self, depth: int, until: int) -> list[int]:
        """Tell of each of the first `depth` layers how many frames all of them need to have frames 0 to `until`."""
        needed = [until] * depth
        for layer_index in range(depth - 1, 0, -1):
            below = needed[layer_index] + max([0, *self._layers[layer_index].lags.tolist()])
            needed[:layer_index] = [max(below, frames) for frames in needed[:layer_index]]
        return needed

    def _decode_first(self, coder: RangeDecoder, codes: NDArray[Any], frames: NDArray[np.intp]) -> None:
        """Fill in `codes` [F] of the first layer at `frames`; their contexts are the codes before."""
        lags = self._layers[0].lags.tolist()
        embedding = self.embedding[0]
        context = np.zeros((len(lags), self._dim), np.int8)
        for frame in frames.tolist():
            for lag_index, lag in enumerate(lags):
                code = codes[frame + lag] if frame + lag >= 0 else NO_CODE
                context[lag_index] = embedding[code] if code >= 0 else 0
            weights = self._weights(0, context.reshape(1, -1))
            codes[frame] = _decode_code(coder, weights[0].cumsum(dtype=np.int64))

    def _contexts(self, layer_index: int, codes: NDArray[Any]) -> Integers:
        """Contexts [F, L * dim] of layer `layer_index`: embeddings of `codes` at its lags, zeros outside the chunk.

        Codes of -1 add nothing.

        `codes`: the layer itself [F] for the first, else the layers below [k, F], whose embeddings are summed.
        """
        rows = np.atleast_2d(codes)
        summed = np.zeros((rows.shape[1], self._dim), np.int32)
        for below, row in enumerate(rows):
            summed += self.embedding[below][row] * (row >= 0)[:, None]
        frames = len(summed)
        lags = self._layers[layer_index].lags.tolist()
        contexts = np.zeros((frames, len(lags), self._dim), np.int32)
        for lag_index, lag in enumerate(lags):
            first, last = max(0, -lag), min(frames, frames - lag)
            if first < last:
                contexts[first:last, lag_index] = summed[first + lag : last + lag]
        return contexts.reshape(frames, len(lags) * self._dim)

    def _weights(self, layer_index: int, contexts: NDArray[Any]) -> Integers:
        """Weights [n, codebook_size], each at least 1, of the codes that may follow contexts [n, L * dim]."""
        layer = self._layers[layer_index]
        hidden = layer.hidden(layer.exact[0], contexts).clip(0, HIDDEN_MAX)
        narrow = layer.narrow(layer.exact[1], hidden).clip(-NARROW_MAX, NARROW_MAX)
        levels = layer.levels(layer.exact[2], narrow)
        below = levels.max(axis=1, keepdims=True) - levels
        np.minimum(below, len(self.decay) - 1, out=below)
        weights: Integers = self.decay.take(below.astype(np.intp))  # three times faster than decay[below]
        return weights

    def _blocks(self, frames: int) -> Iterator[slice]:
        step = max(1, _BLOCK_ELEMENTS // self.codebook_size)
        edges = [*range(0, frames, step), frames]
        return (slice(first, last) for first, last in pairwise(edges))

    def _layer(self, tensors: Mapping[str, NDArray[Any]], layer_index: int) -> LayerModel:
        lags = _tensor(tensors, f"{layer_index}.lags", np.int32, 1)
        if layer_index == 0 and len(lags) and lags.max() >= 0:
            raise ModelError("the entropy model's first layer looks at codes that are not decoded yet")
        affines, inputs = [], len(lags) * self._dim
        # The most that a context can be: the embeddings of the layers below, or of the first layer's own past.
        bound = np.abs(self.embedding[: max(1, layer_index)].astype(np.int32)).max(axis=1).sum(axis=0)
        largest = np.tile(bound, len(lags)).astype(np.int64)
        exact = []
        for part in ("hidden", "narrow", "levels"):
            affine = _affine(tensors, f"{layer_index}.{part}", inputs)
            sums = np.abs(affine.weight.astype(np.int64)) @ largest
            if (sums + np.abs(affine.bias.astype(np.int64))).max() > _SUM_MAX:
                raise ModelError(f"the entropy model's {layer_index}.{part} has sums over 2 ** 30")
            dtype = np.float32 if sums.max() < _FLOAT32_EXACT else np.float64
            exact.append(np.ascontiguousarray(affine.weight.T, dtype=dtype))
            affines.append(affine)
            inputs = len(affine.weight)
            largest = np.full(inputs, HIDDEN_MAX, np.int64)
        if inputs != self.codebook_size:
            raise ModelError(f"the entropy model's layer {layer_index} has {inputs} codes, not {self.codebook_size}")
        return LayerModel(lags, affines[0], affines[1], affines[2], (exact[0], exact[1], exact[2]))


def _decode_code(coder: RangeDecoder, ends: NDArray[np.int64]) -> int:
    """The next code, `ends` [codebook_size] being the running sum of the weights."""
    target = coder.find(int(ends[-1]))
    code = int(ends.searchsorted(target, side="right"))
    start = int(ends[code - 1]) if code else 0
    coder.take(start, int(ends[code]) - start)
    return code


def _affine(tensors: Mapping[str, NDArray[Any]], name: str, inputs: int) -> Affine:
    weight = _tensor(tensors, f"{name}.weight", np.int8, 2)
    bias, shift = _tensor(tensors, f"{name}.bias", np.int32, 1), _tensor(tensors, f"{name}.shift", np.int32, 1)
    if weight.shape != (len(bias), inputs) or len(shift) != len(bias) or not len(bias):
        raise ModelError(f"the entropy model's {name} has the wrong shape {list(weight.shape)}")
    if shift.min() < 0 or shift.max() > 31:
        raise ModelError(f"the entropy model's {name} has shifts outside 0 to 31")
    return Affine(weight, bias, shift)


def _tensor(tensors: Mapping[str, NDArray[Any]], name: str, dtype: type[np.generic], dimensions: int) -> NDArray[Any]:
    value = tensors.get(name)
    if value is None or value.dtype != dtype or value.ndim != dimensions:
        raise ModelError(f"the entropy model lacks {name} as {np.dtype(dtype).name} with {dimensions} dimension(s)")
    return value
