"""What runs a trained model, whatever computes it: the facts that sessions and files need of it, and the steps they
take, on numpy arrays. A `StreamEngine` codes blocks as they come: `Codec` is one (torch), `OnnxCodec` another. A
`ClipEngine` codes whole clips. `vqcodec.sessions.new` makes the session that fits. No torch here.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, Codes, Scales, State, Wave, are_depths
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError
from vqcodec.frames import ceil_div, codebook_kbps, codebooks_for_kbps, whole_number
from vqcodec.models.effort import DEFAULT_EFFORT, Effort

Part = Literal["encoder", "decoder"]


class Engine:
    """A trained model that encodes and decodes. Abstract: it is a `StreamEngine`, a `ClipEngine`, or both.

    fingerprint:      SHA-256 of the weights file, 32 bytes; None if it was never saved
    entropy:          how likely each code is, for smaller files; None without
    effort:           how long it searches for codes, as it was loaded
    is_enhancing:     whether it encodes what speech there is, without noise, as it was loaded
    has_depths:       whether a frame may have fewer codes than others: -1 from a codebook on
    is_scaled:        whether it takes the level out of its input, to be sent beside the codes
    inputs_per_model: channels that the model codes together
    """

    model_name: str
    sample_rate_hz: int
    hop_length: int
    total_codebooks: int
    codebook_size: int
    fingerprint: bytes | None
    entropy: EntropyModel | None
    effort: Effort = DEFAULT_EFFORT
    is_enhancing = False
    is_scaled = False
    has_depths = False
    inputs_per_model = 1

    @property
    def is_streaming(self) -> bool:
        """Whether blocks of a stream can be coded as they come."""
        return isinstance(self, StreamEngine)

    @property
    def is_causal(self) -> bool:
        """Whether what comes later, such as padding, leaves the codes of earlier frames as they are."""
        return not isinstance(self, ClipEngine)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_length

    def codebooks_for(self, *, kbps: float | None = None, num_codebooks: int | None = None) -> int:
        """Return the number of codebooks to use: `num_codebooks`, or the most whose nominal rate is not above `kbps`.

        All of them when neither is given. Raises ConfigError for both at once or for values out of range.
        """
        return codebooks_for(self, kbps=kbps, num_codebooks=num_codebooks)

    def prepare(self, part: Part) -> None:
        """Load what `part` needs and what would otherwise be loaded at its first use."""

    def check_codes(self, codes: NDArray[Any], *, varied: bool = False) -> None:
        """Raise ValueError unless `codes` are integers [B, 1..total_codebooks, F] below codebook_size.

        Where they may be `varied`, and the model has depths, all codes of a frame may be -1 from a codebook on.
        """
        if codes.ndim != 3 or not 1 <= codes.shape[1] <= self.total_codebooks:
            raise ValueError(f"codes have shape {codes.shape}, expected [B, 1..{self.total_codebooks}, F]")
        if codes.dtype.kind not in "iu":
            raise ValueError(f"codes are {codes.dtype}, expected integers")
        lowest = NO_CODE if varied and self.has_depths else 0
        if codes.size and not lowest <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise ValueError(f"codes span {codes.min()}..{codes.max()}, expected 0..{self.codebook_size - 1}")
        if not are_depths(codes):
            raise ValueError("a frame has a code above one that is -1, which leaves out all codebooks above")


class StreamEngine(Engine):
    """A trained model that encodes and decodes blocks of streams. Abstract: an engine defines the methods below."""

    @property
    def delay_samples(self) -> int:
        """Samples by which `decode_block` lags its codes."""
        raise NotImplementedError

    @property
    def decoder_context_frames(self) -> int:
        """Frames before frame f that its decoded samples depend on, at most: what a seek must decode ahead."""
        raise NotImplementedError

    @property
    def encoder_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays in the state of `encode_block`, without the batch."""
        raise NotImplementedError

    @property
    def decoder_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays in the state of `decode_block`, without the batch."""
        raise NotImplementedError

    def encode_block(self, wave: Wave, num_codebooks: int, state: State = None) -> tuple[Codes, State]:
        """Encode the next samples of a stream.

        Shape: wave [B, n * hop_length] float32 -> codes [B, num_codebooks, n] int64; `state` goes into the next call.
        """
        raise NotImplementedError

    def decode_block(self, codes: NDArray[Any], state: State = None) -> tuple[Wave, State]:
        """Decode the next frames of a stream.

        Shape: codes [B, K, n] integers, -1 where a frame has fewer -> wave [B, n * hop_length] float32, late by
        `delay_samples`: the first
        `delay_samples` samples of a stream lie before its beginning; at its end the last frame is given
        `finishing_frames` times more.
        """
        raise NotImplementedError

    @property
    def is_searched(self) -> bool:
        """Whether codes are searched for: those whose `code_vectors` add up to what is nearest to the latent."""
        return False

    @property
    def latent_dim(self) -> int:
        """Numbers in the latent of a frame."""
        raise NotImplementedError

    def latent_block(self, wave: Wave, state: State = None) -> tuple[NDArray[np.float32], State]:
        """Do as `encode_block`, up to the latents [B, n, latent_dim]. Of models that are searched."""
        raise NotImplementedError

    def code_vectors(self) -> NDArray[np.float32]:
        """Return what each code adds to the latent of its frame: [total_codebooks, codebook_size, dim].

        Of models that have depths. Raises ConfigError where this engine does not know it.
        """
        raise NotImplementedError

    def start_decoding(self, batch: int, start_frame: int) -> State:
        """Return the state from which to decode `batch` streams whose frames before `start_frame` are left out.

        What it gives differs from a stream's beginning where the sound depends on the place, as that of noise may.
        """
        return None

    def arrays_of(self, state: State) -> list[NDArray[Any]]:
        """Return the arrays of a state, to save them; the same for every engine that runs the same model."""
        raise NotImplementedError

    def state_of(self, arrays: Sequence[NDArray[Any]]) -> State:
        """Return the state of saved arrays."""
        raise NotImplementedError

    @property
    def finishing_frames(self) -> int:
        """How often the last frame of a stream is decoded once more, to complete its last `delay_samples`."""
        return ceil_div(self.delay_samples, self.hop_length)

    @property
    def algorithmic_delay_samples(self) -> int:
        """Samples that must have come in, counted from a sample on, before that sample comes out, at most.

        A frame that must be complete, and the decoder's overlap. Computing and sending come on top; files and
        sessions that are flushed have none of it: what they give is aligned with the input.
        """
        return self.hop_length + self.delay_samples


class ClipEngine(Engine):
    """A trained model that takes a clip as a whole, as others' codecs mostly do. Abstract; see `clip_session`.

    most_seconds: of a clip that is coded at once, so that memory stays bounded
    chunk_frames: frames of the chunks that the model codes, and scales, each by itself; 1 for a model that has none
    """

    most_seconds = 60.0
    chunk_frames = 1

    def encode_clip(self, wave: Wave, num_codebooks: int) -> tuple[Codes, Scales | None]:
        """Encode wave [C, T]: codes [C, num_codebooks, ceil(T / hop_length)], and levels if the model is scaled."""
        raise NotImplementedError

    def decode_clip(self, codes: NDArray[Any], scales: Scales | None) -> Wave:
        """Decode codes [C, K, F] that begin with a chunk, and their chunks' levels, to a wave [C, F * hop_length].

        Without levels a scaled model decodes at the level to which it normalizes.
        """
        raise NotImplementedError

    def inputs_of(self, channels: int) -> int:
        """Count the inputs of the model that `channels` channels make."""
        return channels if channels == 1 else channels // self.inputs_per_model


class CodebookFacts(Protocol):
    """What the number of codebooks at a rate follows from."""

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the model's input."""

    @property
    def hop_length(self) -> int:
        """Samples per frame."""

    @property
    def total_codebooks(self) -> int:
        """Codes per frame."""

    @property
    def codebook_size(self) -> int:
        """Codes per codebook."""


def codebooks_for(facts: CodebookFacts, *, kbps: float | None = None, num_codebooks: int | None = None) -> int:
    """Choose the number of codebooks as `Engine.codebooks_for`, also of a model that is not loaded."""
    if kbps is not None and num_codebooks is not None:
        raise ConfigError("give kbps or num_codebooks, not both")
    if kbps is not None:
        if not 0 < kbps < float("inf"):
            raise ConfigError(f"kbps {kbps} is not a positive number")
        return codebooks_for_kbps(
            kbps,
            sample_rate_hz=facts.sample_rate_hz,
            hop_length=facts.hop_length,
            codebook_size=facts.codebook_size,
            total_codebooks=facts.total_codebooks,
        )
    count = facts.total_codebooks if num_codebooks is None else whole_number(num_codebooks, "num_codebooks")
    if not 1 <= count <= facts.total_codebooks:
        raise ConfigError(f"num_codebooks {count} is not in 1..{facts.total_codebooks}, what this model has")
    return count


def rate_note(facts: CodebookFacts, kbps: float | None) -> str | None:
    """Say what is used instead of `kbps` where it is above or below every nominal rate of a model; else None."""
    if kbps is None:
        return None
    lowest = codebook_kbps(facts.sample_rate_hz, facts.hop_length, facts.codebook_size)
    highest = facts.total_codebooks * lowest
    if kbps > highest:
        return f"{kbps:g} kbps is more than this model has: all {facts.total_codebooks} codebooks, {highest:g} kbps"
    if kbps < lowest:
        return f"{kbps:g} kbps is less than this model has: one codebook, {lowest:g} kbps"
    return None
