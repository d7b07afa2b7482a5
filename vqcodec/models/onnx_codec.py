"""A trained model that runs on onnxruntime, without torch: the graphs that `vqcodec export` writes (see `export`)."""

import os
import re
import textwrap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.arrays import Codes, Wave
from vqcodec.errors import ConfigError, ModelError, how_to_install
from vqcodec.models.architecture import STORED
from vqcodec.models.effort import DEFAULT_EFFORT, Effort, check_effort
from vqcodec.models.engine import Part, StreamEngine
from vqcodec.models.weightsfile import WeightsFile
from vqcodec.texts import parse_object

if TYPE_CHECKING:
    import onnxruntime

GRAPH_METADATA = "vqcodec"
"""Key of the graphs' metadata whose value is the facts of the model, as JSON."""

LATENT = "latent"
LATENT_EFFORT: Effort = "fast"
"""The effort whose encoder gives the latent too."""

_Pasts = list[NDArray[np.float32]]


def graph_path(weights: str | Path, part: str) -> Path:
    """Return the graph of `part`, decoder or one of `encoder_part`, that belongs to a weights file."""
    return Path(weights).with_suffix(f".{part}.onnx")


def encoder_part(effort: Effort) -> str:
    """Return the part that encodes with an effort: the number of beams is in the graph."""
    return "encoder" if effort == DEFAULT_EFFORT else f"encoder-{effort}"


class OnnxCodec(StreamEngine):
    """A neural audio codec on onnxruntime: sessions, files and `compress` take it as they take a Codec.

    `weights`: the safetensors file, with its graphs beside it; each is loaded when it is first needed. `threads`
    of the runtime: by default what OMP_NUM_THREADS says, or one. `effort`: as in `zoo.load`. States are lists of
    arrays. Raises ModelError if a file is missing, damaged, or not of the others, ConfigError for impossible values in
    its config, for an effort that it does not have, and where onnxruntime is missing.
    """

    has_depths = True

    def __init__(
        self, weights: WeightsFile | str | Path, *, threads: int | None = None, effort: Effort = DEFAULT_EFFORT
    ) -> None:
        file = weights if isinstance(weights, WeightsFile) else WeightsFile(weights)
        self._weights, self._threads = file.path, threads or _default_threads()
        self.fingerprint, self.entropy, config = file.fingerprint, file.entropy, file.config
        check_effort(effort, model=config.name, is_searched=config.is_searched)
        self._config = config
        self.model_name, self.effort = config.name, effort
        self.sample_rate_hz, self.hop_length = config.sample_rate_hz, config.hop_length
        self.total_codebooks, self.codebook_size = config.total_codebooks, config.codebook_size

    @override
    def prepare(self, part: Part) -> None:
        """Load the graph of a part now. Raises as the class."""
        _ = self._encoder if part == "encoder" else self._decoder

    @cached_property
    def _encoder(self) -> "_Graph":
        return self._graph(encoder_part(self.effort))

    @cached_property
    def _searchless_encoder(self) -> "_Graph":
        """The graph that gives latents, and hardly searches."""
        part = encoder_part(LATENT_EFFORT)
        graph = self._encoder if self.effort == LATENT_EFFORT else self._graph(part)
        if not graph.has_output(LATENT):
            raise ModelError(f"{graph_path(self._weights, part)}: gives no {LATENT}; run vqcodec export again")
        return graph

    @cached_property
    def _decoder(self) -> "_Graph":
        return self._graph("decoder")

    def _graph(self, part: str) -> "_Graph":
        return _Graph(self._weights, part, self._threads, self.fingerprint)

    @override
    @property
    def delay_samples(self) -> int:
        delay: int = self._decoder.facts["delay_samples"]
        return delay

    @override
    @property
    def decoder_context_frames(self) -> int:
        frames: int = self._decoder.facts["decoder_context_frames"]
        return frames

    @override
    @property
    def encoder_shapes(self) -> list[tuple[int, ...]]:
        return self._encoder.past_shapes

    @override
    @property
    def decoder_shapes(self) -> list[tuple[int, ...]]:
        return self._decoder.past_shapes

    @override
    def encode_block(self, wave: Wave, num_codebooks: int, state: _Pasts | None = None) -> tuple[Codes, _Pasts]:
        codes, *new_state = self._encoder.run(wave, state, num_codebooks=np.array(num_codebooks))
        return codes[:, :num_codebooks], new_state

    @override
    @property
    def is_searched(self) -> bool:
        return self._config.is_searched

    @override
    @property
    def latent_dim(self) -> int:
        return self._config.latent_dim

    @override
    def latent_block(self, wave: Wave, state: _Pasts | None = None) -> tuple[NDArray[np.float32], _Pasts]:
        latent, *new_state = self._searchless_encoder.run(wave, state, LATENT, num_codebooks=np.array(1))
        return latent, new_state

    @override
    def decode_block(self, codes: NDArray[Any], state: _Pasts | None = None) -> tuple[Wave, _Pasts]:
        if codes.size and codes.min() < 0 and not self._decoder.facts.get("is_varied"):
            raise ModelError(f"{graph_path(self._weights, 'decoder')}: knows no depths; run vqcodec export again")
        wave, *new_state = self._decoder.run(codes.astype(np.int64, copy=False), state)
        return wave, new_state

    @override
    def code_vectors(self) -> NDArray[np.float32]:
        config = self._config
        if config.codebook_kind not in STORED or config.groups > 1 or config.steps > 1:
            raise ConfigError(f"vbr of {self.model_name}: its codebooks are computed; use the torch engine")
        weights = WeightsFile(self._weights)
        names = [f"quantizer.codebooks.{index}.weight" for index in range(self.total_codebooks)]
        return np.stack([weights.array(name).astype(np.float32) for name in names])

    @override
    def start_decoding(self, batch: int, start_frame: int) -> _Pasts | None:
        noise = self._decoder.facts["noise"]
        if noise is None:
            return None
        state = [np.zeros((batch, *shape), np.float32) for shape in self.decoder_shapes]
        per_frame, period = noise
        state[-1][:, 0] = start_frame * per_frame % period
        return state

    @override
    def arrays_of(self, state: _Pasts) -> list[NDArray[Any]]:
        return list(state)

    @override
    def state_of(self, arrays: Sequence[NDArray[Any]]) -> _Pasts:
        return list(arrays)


class _Graph:
    """One part of a model, loaded: from its first input and the state to its first output and the new state."""

    def __init__(self, weights: Path, part: str, threads: int, fingerprint: bytes | None) -> None:
        path = graph_path(weights, part)
        self._session = _runtime(path, threads)
        self.facts = _facts(self._session)
        # The name as well: it is by name that the graph finds the weights that it computes with.
        expected = {"part": part, "weights": weights.name, "sha256": None if fingerprint is None else fingerprint.hex()}
        if any(self.facts.get(key) != value for key, value in expected.items()):
            raise ModelError(f"{path}: not the {part} of the weights {weights}; run vqcodec export again")
        inputs = {each.name: tuple(each.shape[1:]) for each in self._session.get_inputs()}
        if part != "decoder" and "num_codebooks" not in inputs:
            raise ModelError(f"{path}: knows no num_codebooks; run vqcodec export again")
        self._first = next(iter(inputs))
        self._past_shapes = {name: shape for name, shape in inputs.items() if name.startswith("past.")}
        self._outputs = [each.name for each in self._session.get_outputs()]

    @property
    def past_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays of the state, without the batch."""
        return list(self._past_shapes.values())

    def has_output(self, name: str) -> bool:
        """Tell whether one is called so."""
        return name in self._outputs

    def run(
        self, first: NDArray[Any], state: _Pasts | None, output: str | None = None, **more: NDArray[Any]
    ) -> list[NDArray[Any]]:
        """Compute an output, the first without `output`, and the new state; no state is zeros; `more` are inputs."""
        if state is None:
            state = [np.zeros((len(first), *shape), np.float32) for shape in self.past_shapes]
        pasts = dict(zip(self._past_shapes, state, strict=True))
        wanted = [output or self._outputs[0], *(f"new_{name}" for name in self._past_shapes)]
        outputs: list[NDArray[Any]] = self._session.run(wanted, {self._first: first, **more, **pasts})
        return outputs


def _facts(session: "onnxruntime.InferenceSession") -> dict[str, Any]:
    """What the metadata of a graph says; nothing where it is not what `vqcodec export` writes."""
    try:
        facts = parse_object(session.get_modelmeta().custom_metadata_map[GRAPH_METADATA])
        numbers = [facts["decoder_context_frames"], facts["delay_samples"], *(facts["noise"] or ())]
        return facts if all(type(value) is int for value in numbers) else {}
    except (KeyError, TypeError, ValueError):
        return {}


def _default_threads() -> int:
    """Read OMP_NUM_THREADS as torch does, but one thread where it says nothing."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return min(max(1, int(text)), os.cpu_count() or 1) if re.fullmatch(r"[0-9]{1,9}", text) else 1


def _runtime(path: Path, threads: int) -> "onnxruntime.InferenceSession":
    """onnxruntime's session for a graph."""
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"the onnx engine needs onnxruntime; {how_to_install('onnx')}") from None
    if not path.is_file():
        raise ModelError(f"{path}: no such graph; vqcodec export writes it from the weights")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common class
        why = textwrap.shorten(str(error), 200)
        raise ModelError(f"{path}: onnxruntime cannot load it; run vqcodec export again ({why})") from None
