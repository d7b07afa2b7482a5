"""Codes [K, F] as the sequences that language models read, and exactly back. numpy only.

Copet et al., "Simple and Controllable Music Generation" (2023), section 2.2 and figure 1, compare such patterns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Sampled:
    """What `Pattern.unflatten_sampled` made of tokens that a model drew.

    codes:    [K, F] int64, for any decoder
    repaired: codes that no token gave: each is that of the frame before, in the first frame 0
    ignored:  tokens that stand where no code can: behind the last whole frame, or in the place of a pad
    """

    codes: NDArray[np.int64]
    repaired: int
    ignored: int


@dataclass(frozen=True)
class Pattern:
    """How the codes of `num_codebooks` codebooks become tokens. Abstract: see the three below.

    Codes and tokens may be whatever numpy makes an array of, a tensor on the CPU for one. Raises ValueError for sizes
    below 1.
    """

    num_codebooks: int
    codebook_size: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} {value} is not 1 or more")

    @property
    def vocabulary_size(self) -> int:
        """Tokens are from 0 to before it."""
        raise NotImplementedError

    def flatten(self, codes: ArrayLike) -> Tokens:
        """Turn codes [K, F] into tokens. Raises ValueError for another shape or type and for codes that are none."""
        raise NotImplementedError

    def unflatten(self, tokens: ArrayLike) -> NDArray[np.int64]:
        """Turn tokens into codes [K, F]. Raises ValueError with the position of what `flatten` never gives."""
        raise NotImplementedError

    def unflatten_sampled(self, tokens: ArrayLike) -> Sampled:
        """Turn tokens as a language model drew them into codes, repaired where they are not what `flatten` gives.

        A sequence that was cut, at a limit of length, has the frames that are whole. A token that is none of the
        vocabulary, one for the end say, ends it; so does a pad of `Delayed` in the row of codebook 0. Raises ValueError
        for another shape or type only.
        """
        raise NotImplementedError

    def _checked_codes(self, codes: ArrayLike) -> Tokens:
        codes = np.asarray(codes)
        if codes.ndim != 2 or len(codes) != self.num_codebooks or codes.dtype.kind not in "iu":
            raise ValueError(
                f"codes are {codes.dtype} {list(codes.shape)}, expected integers [{self.num_codebooks}, F]"
            )
        return self._in_range(codes.astype(np.int64), "codes")

    def _in_range(self, codes: Tokens, name: str) -> Tokens:
        """`codes` [K, F], if all are codes."""
        bad = np.argwhere((codes < 0) | (codes >= self.codebook_size))
        if len(bad):
            codebook, frame = bad[0]
            raise ValueError(
                f"{name} have {codes[codebook, frame]} at codebook {codebook}, frame {frame}; "
                f"expected 0 to {self.codebook_size - 1}"
            )
        return codes


@dataclass(frozen=True)
class _Flat(Pattern):
    """One token after the other, K a frame: code c of codebook k is token k * codebook_size + c."""

    @property
    @override
    def vocabulary_size(self) -> int:
        """K * codebook_size."""
        return self.num_codebooks * self.codebook_size

    def _offsets(self) -> Tokens:
        """[K, 1]."""
        return np.arange(self.num_codebooks, dtype=np.int64)[:, None] * self.codebook_size

    def _checked_tokens(self, tokens: NDArray[np.integer], codebooks: Tokens) -> Tokens:
        """The codes of `tokens` [K * F], which must be of `codebooks` [K * F]."""
        codes = tokens.astype(np.int64) - codebooks * self.codebook_size
        bad = np.flatnonzero((codes < 0) | (codes >= self.codebook_size))
        if len(bad):
            first = codebooks[bad[0]] * self.codebook_size
            raise ValueError(
                f"token {tokens[bad[0]]} at position {bad[0]} is none of codebook {codebooks[bad[0]]}, "
                f"which has {first} to {first + self.codebook_size - 1}"
            )
        return codes

    def _checked_shape(self, tokens: ArrayLike) -> NDArray[np.integer]:
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise ValueError(f"tokens are {tokens.dtype} {list(tokens.shape)}, expected integers [F * K]")
        return tokens

    def _until_end(self, tokens: ArrayLike) -> Tokens:
        """The tokens before the first that is none of the vocabulary."""
        tokens = self._checked_shape(tokens).astype(np.int64)
        ends = np.flatnonzero((tokens < 0) | (tokens >= self.vocabulary_size))
        return tokens[: ends[0]] if len(ends) else tokens

    def _frames(self, tokens: NDArray[np.integer]) -> int:
        frames, rest = divmod(len(tokens), self.num_codebooks)
        if rest:
            raise ValueError(
                f"{len(tokens)} tokens end in a part of a frame at position {len(tokens) - rest}; "
                f"a frame has {self.num_codebooks}"
            )
        return frames


@dataclass(frozen=True)
class Interleaved(_Flat):
    """Frame by frame, in each codebook by codebook: tokens [F * K].

    The "flattening" pattern of Copet et al.; AudioLM (Borsos et al. 2022) models its coarse codes in this order.
    """

    @override
    def flatten(self, codes: ArrayLike) -> Tokens:
        return (self._checked_codes(codes) + self._offsets()).T.ravel()

    @override
    def unflatten(self, tokens: ArrayLike) -> NDArray[np.int64]:
        tokens = self._checked_shape(tokens)
        frames = self._frames(tokens)
        codes = self._checked_tokens(tokens, np.tile(np.arange(self.num_codebooks), frames))
        return np.ascontiguousarray(codes.reshape(frames, self.num_codebooks).T)

    @override
    def unflatten_sampled(self, tokens: ArrayLike) -> Sampled:
        drawn = self._until_end(tokens)
        frames = len(drawn) // self.num_codebooks
        rows = drawn[: frames * self.num_codebooks].reshape(frames, self.num_codebooks).T
        codes, repaired = _repaired(rows - self._offsets(), self.codebook_size)
        return Sampled(codes, repaired, np.asarray(tokens).size - codes.size)


@dataclass(frozen=True)
class ByCodebook(_Flat):
    """All frames of codebook 0, then all of codebook 1, and so on: tokens [K * F].

    From coarse to fine, the order in which VALL-E (Wang et al. 2023) predicts codebooks.
    """

    @override
    def flatten(self, codes: ArrayLike) -> Tokens:
        return (self._checked_codes(codes) + self._offsets()).ravel()

    @override
    def unflatten(self, tokens: ArrayLike) -> NDArray[np.int64]:
        tokens = self._checked_shape(tokens)
        frames = self._frames(tokens)
        codes = self._checked_tokens(tokens, np.repeat(np.arange(self.num_codebooks), frames))
        return codes.reshape(self.num_codebooks, frames)

    @override
    def unflatten_sampled(self, tokens: ArrayLike) -> Sampled:
        """Return codes as `Pattern` does, but [K', F]: F are the tokens up to the first of another codebook than 0.

        K' of the codebooks are whole; a residual quantizer decodes the lowest ones by themselves.
        """
        drawn = self._until_end(tokens)
        others = np.flatnonzero(drawn >= self.codebook_size)
        frames = int(others[0]) if len(others) else len(drawn)
        whole = min(len(drawn) // frames, self.num_codebooks) if frames else self.num_codebooks
        rows = drawn[: whole * frames].reshape(whole, frames)
        codes, repaired = _repaired(rows - self._offsets()[:whole], self.codebook_size)
        return Sampled(codes, repaired, np.asarray(tokens).size - codes.size)


@dataclass(frozen=True)
class Delayed(Pattern):
    """A row per codebook, codebook k late by k steps: tokens [K, F + K - 1], `pad` where a row has no code.

    The "delay" pattern of MusicGen (Copet et al. 2023): a step predicts K tokens, and each knows the coarser codes of
    its own frame.
    """

    @property
    def pad(self) -> int:
        """The token that stands for no code: codebook_size."""
        return self.codebook_size

    @property
    @override
    def vocabulary_size(self) -> int:
        """Tokens of each row: codebook_size + 1, with `pad`."""
        return self.codebook_size + 1

    @override
    def flatten(self, codes: ArrayLike) -> Tokens:
        rows = self._checked_codes(codes)
        frames = rows.shape[1]
        tokens = np.full((self.num_codebooks, frames + self.num_codebooks - 1), self.pad, np.int64)
        for codebook, row in enumerate(rows):
            tokens[codebook, codebook : codebook + frames] = row
        return tokens

    @override
    def unflatten(self, tokens: ArrayLike) -> NDArray[np.int64]:
        tokens = self._checked_shape(tokens)
        late = self.num_codebooks - 1
        frames = tokens.shape[1] - late
        if frames < 0:
            raise ValueError(f"{tokens.shape[1]} steps are fewer than the {late} by which the last codebook is late")
        has_code = self._places(tokens.shape[1], frames)
        bad = np.argwhere((tokens < 0) | (tokens > self.pad) | ((tokens == self.pad) == has_code))
        if len(bad):
            row, step = bad[0]
            expected = f"a code, 0 to {self.codebook_size - 1}" if has_code[row, step] else f"the pad, {self.pad}"
            raise ValueError(f"token {tokens[row, step]} of codebook {row} at step {step} is not {expected}")
        codes: Tokens = tokens[has_code].reshape(self.num_codebooks, frames).astype(np.int64)
        return codes

    @override
    def unflatten_sampled(self, tokens: ArrayLike) -> Sampled:
        drawn = self._checked_shape(tokens).astype(np.int64)
        steps = drawn.shape[1]
        ends = np.flatnonzero((drawn[0] < 0) | (drawn[0] >= self.codebook_size))
        frames = max(0, min(int(ends[0]) if len(ends) else steps, steps - self.num_codebooks + 1))
        has_code = self._places(steps, frames)
        codes, repaired = _repaired(drawn[has_code].reshape(self.num_codebooks, frames), self.codebook_size)
        return Sampled(codes, repaired, int((~has_code & (drawn != self.pad)).sum()))

    def _checked_shape(self, tokens: ArrayLike) -> NDArray[np.integer]:
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or len(tokens) != self.num_codebooks or tokens.dtype.kind not in "iu":
            raise ValueError(
                f"tokens are {tokens.dtype} {list(tokens.shape)}, expected integers [{self.num_codebooks}, steps]"
            )
        return tokens

    def _places(self, steps: int, frames: int) -> NDArray[np.bool_]:
        """Where the codes of `frames` stand, [K, steps]."""
        step, codebook = np.arange(steps), np.arange(self.num_codebooks)[:, None]
        return (step >= codebook) & (step < codebook + frames)


def _repaired(codes: Tokens, codebook_size: int) -> tuple[Tokens, int]:
    """`codes` [K, F] with the last one before, or 0, where one is none; and how many were none."""
    wrong = (codes < 0) | (codes >= codebook_size)
    before = np.maximum.accumulate(np.where(wrong, -1, np.arange(codes.shape[1])), axis=1)
    kept = np.take_along_axis(np.where(wrong, 0, codes), np.maximum(before, 0), axis=1)
    return np.ascontiguousarray(kept), int(wrong.sum())
