"""Write a trained model as ONNX graphs: an encoder and a decoder, each with its streaming state as inputs and outputs.

The graphs hold no weights: their initializers point into the safetensors file beside them (ONNX external data), so
that every runtime loads the weights that the fingerprint names, in half precision, once. `OnnxCodec` runs them.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.errors import ConfigError, how_to_install
from vqcodec.models import zoo
from vqcodec.models.codec import Codec
from vqcodec.models.effort import BEAMS, DEFAULT_EFFORT, EFFORTS, Effort
from vqcodec.models.onnx_codec import GRAPH_METADATA, LATENT, LATENT_EFFORT, encoder_part, graph_path
from vqcodec.models.weights import load_weights
from vqcodec.models.weightsfile import WeightsFile
from vqcodec.nn.source_filter import NOISE_FRAMES
from vqcodec.output import atomic_output, check_output, make_folder

if TYPE_CHECKING:
    import onnx

_OPSET = 20
"""The first that has Gelu; onnxruntime 1.17 knows it."""
_SCALARS = 64
"""Elements of the largest constant that is no weight."""
_EXAMPLE_FRAMES = 10
_EXAMPLE_CODEBOOKS = 3


def export_onnx(model: str | Path, folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write NAME.encoder.onnx, NAME.decoder.onnx and a copy of the weights NAME.safetensors of a model to `folder`.

    Where codes are searched for, also NAME.encoder-fast.onnx and NAME.encoder-best.onnx, for the other efforts.

    Encoder: wave [B, n * hop_length] float32, num_codebooks [] int64, past.0 ... -> codes [B, total_codebooks, n]
    int64, which are -1 from num_codebooks on, new_past.0 ...
    Decoder: codes [B, K, n] int64, -1 where a frame has none, past.0 ... -> wave [B, n * hop_length] float32, ...
    A stream starts from pasts of zeros. The metadata under "vqcodec" says in JSON what the model is. Returns the
    paths. Raises ModelError as `zoo.load`, OutputError, and ConfigError where the package onnx is missing.
    """
    try:
        import onnx
        import onnxscript.optimizer  # noqa: F401 - told here where it is missing
    except ImportError as error:
        raise ConfigError(f"exporting needs the package {error.name}; {how_to_install('export')}") from None
    weights = zoo.open_weights(model)
    if weights.config.speakers:
        raise ConfigError(
            f"{weights.config.name}: a graph cannot be told who speaks; export it with one voice (--speaker NAME)"
        )
    codec = load_weights(weights)
    copy = make_folder(folder) / weights.path.name
    is_there = copy.exists() and copy.samefile(weights.path)
    efforts = EFFORTS if codec.config.is_searched else (DEFAULT_EFFORT,)
    targets = {part: graph_path(copy, part) for part in (*map(encoder_part, efforts), "decoder")}
    for target in targets.values() if is_there else (copy, *targets.values()):
        check_output(target, force=force)
    for part, graph in _graphs(codec, efforts):
        _clean(graph)
        _link_weights(graph, weights)
        onnx.helper.set_model_props(graph, {GRAPH_METADATA: json.dumps(_facts(codec, part, copy.name))})
        with atomic_output(targets[part], force=force) as temporary:
            temporary.write_bytes(graph.SerializeToString())
    if not is_there:
        with atomic_output(copy, force=force) as temporary:
            temporary.write_bytes(weights.data)
    return [copy, *targets.values()]


def _graphs(codec: Codec, efforts: Sequence[Effort]) -> Iterator[tuple[str, "onnx.ModelProto"]]:
    """Yield (part, its graph) for the encoder of each effort and the decoder."""
    import onnxscript.optimizer

    # Tracing is what takes time, so the encoder is traced once, with an output of codes for each effort.
    program = _optimized(_encoder_program(codec, efforts))
    outputs = program.model.graph.outputs
    codes, state, latent = outputs[: len(efforts)], outputs[len(efforts) : -1], outputs[-1]
    for effort, chosen in zip(efforts, codes, strict=True):
        outputs[:] = [chosen, *state, *([latent] if effort == LATENT_EFFORT else [])]
        chosen.name = "codes"
        graph = program.model_proto
        chosen.name = f"codes.{effort}"
        onnxscript.optimizer.remove_unused_nodes(graph)
        yield encoder_part(effort), graph
    yield "decoder", _optimized(_decoder_program(codec)).model_proto


def _optimized(program: Any) -> Any:
    """Remove what the exporter leaves around scalars: it is in the way of the runtimes' own folding."""
    import onnxscript.optimizer

    onnxscript.optimizer.optimize_ir(program.model, output_size_limit=_SCALARS, should_fold=_of_scalars)
    return program


class _EncoderGraph(nn.Module):
    """Codes of each effort, and the state and the latent, which are the same for all."""

    def __init__(self, codec: Codec, efforts: Sequence[Effort]) -> None:
        super().__init__()
        self.codec, self.efforts = codec, efforts

    @override
    def forward(self, wave: Tensor, num_codebooks: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        latent, new_state = self.codec.encoder(wave, list(state))
        encode = partial(self.codec.quantizer.encode_for, latent, num_codebooks)
        return *(encode(beams=BEAMS[effort]) for effort in self.efforts), *new_state, latent


class _DecoderGraph(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    @override
    def forward(self, codes: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        # One table, so that the number of codebooks need not be known.
        table = nn.functional.pad(self.codec.quantizer.table(), (0, 0, 0, 1))  # zeros for a code of -1
        rows = codes + torch.arange(codes.shape[1])[:, None] * self.codec.codebook_size
        rows = torch.where(codes < 0, len(table) - 1, rows)
        latent = nn.functional.embedding(rows, table).sum(1)
        if self.codec.quantizer.steps > 1:
            latent = latent.reshape(latent.shape[0], -1, self.codec.config.latent_dim)
        wave, new_state = self.codec.decoder(latent, list(state))
        return wave, *new_state


def _encoder_program(codec: Codec, efforts: Sequence[Effort]) -> Any:
    wave = torch.zeros(2, _EXAMPLE_FRAMES * codec.hop_length)
    inputs = {"wave": wave, "num_codebooks": torch.tensor(_EXAMPLE_CODEBOOKS)}
    outputs = [f"codes.{effort}" for effort in efforts]
    return _program(_EncoderGraph(codec, efforts), inputs, codec.encoder_shapes, outputs, [LATENT])


def _decoder_program(codec: Codec) -> Any:
    codes = torch.zeros(2, _EXAMPLE_CODEBOOKS, _EXAMPLE_FRAMES, dtype=torch.int64)
    return _program(_DecoderGraph(codec), {"codes": codes}, codec.decoder_shapes, ["wave"])


def _program(
    module: nn.Module,
    inputs: dict[str, Tensor],
    shapes: list[tuple[int, ...]],
    outputs: Sequence[str],
    last_outputs: Sequence[str] = (),
) -> Any:
    """torch's ONNXProgram of `module(*inputs, *state)`; the batch and all dimensions of `inputs` may vary."""
    state = [torch.zeros(2, *shape) for shape in shapes]
    dynamic = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings(), _silence("torch.onnx"), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            module.eval(),
            (*inputs.values(), *state),
            dynamo=True,
            optimize=False,  # it would fold the weights into copies; runtimes do that when they load
            verbose=False,
            opset_version=_OPSET,
            dynamic_shapes=(
                *(dict.fromkeys(range(tensor.dim()), dynamic) for tensor in inputs.values()),
                tuple({0: dynamic} for _ in state),
            ),
            input_names=[*inputs, *(f"past.{index}" for index in range(len(state)))],
            output_names=[*outputs, *(f"new_past.{index}" for index in range(len(state))), *last_outputs],
        )


@contextlib.contextmanager
def _silence(name: str) -> Iterator[None]:
    """Errors only from the logger of `name`."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _of_scalars(node: Any) -> bool | None:
    """Refuse to fold what is made of weights: they stay what they are in their file."""
    constants = [value.const_value for value in node.inputs if value is not None and value.const_value is not None]
    return False if any(constant.size > _SCALARS for constant in constants) else None


def _facts(codec: Codec, part: str, weights_name: str) -> dict[str, Any]:
    """What OnnxCodec must know beside the config of the weights, and what it checks."""
    assert codec.fingerprint is not None
    return {
        "part": part,
        "weights": weights_name,
        "sha256": codec.fingerprint.hex(),
        "decoder_context_frames": codec.decoder_context_frames,
        "delay_samples": codec.delay_samples,
        "is_varied": True,
        # The last past of the decoder begins with the place in the noise: frames are this many, modulo the second.
        "noise": [codec.decoder.stride * codec.quantizer.steps, NOISE_FRAMES] if codec.config.source_hz else None,
    }


def _clean(graph: "onnx.ModelProto") -> None:
    """Remove what the exporter tells of the source files: nobody runs it."""
    graph.graph.doc_string = ""
    for item in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    for tensor in graph.graph.initializer:
        del tensor.metadata_props[:]
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]


def _link_weights(graph: "onnx.ModelProto", weights: WeightsFile) -> None:
    """Let the initializers that are tensors of the weights file refer to it, and cast them to float32 first thing."""
    import onnx

    types = {"F16": onnx.TensorProto.FLOAT16, "F32": onnx.TensorProto.FLOAT, "BF16": onnx.TensorProto.BFLOAT16}
    prefix = "codec."
    casts = []
    for tensor in graph.graph.initializer:
        stored = weights.places.get(tensor.name.removeprefix(prefix))
        if stored is None:
            continue
        name = tensor.name
        dims = list(tensor.dims)
        tensor.Clear()
        tensor.name, tensor.data_type = f"{name}.stored", types[stored.dtype]
        tensor.dims.extend(dims)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.path.name), ("offset", stored.offset), ("length", stored.length)):
            tensor.external_data.add(key=key, value=str(value))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
