"""Lyra v2 around its graphs: packets of whole bytes, all that the decoder has, and each clip from the start."""

import os
import sys
import types

import numpy as np
import pytest

from vqcodec.errors import AudioError, ConfigError, UnavailableError
from vqcodec.evaluation.codecs.registry import open_codec, parse_spec
from vqcodec.metrics import pesq_wb

GRAPHS = os.environ.get("VQCODEC_LYRA", "")
"""A folder with the three graphs of Lyra v2."""


class Interpreter:
    """Graphs that say what they were given: the codes of a frame come back as the first samples of its rendering.

    The encoder adds the number of frames before, as its state, to what the quantizer codes: 16 samples of the frame, 4
    bits each, once around.
    """

    def __init__(self, *, model_content, num_threads):
        assert num_threads == 1
        self.graph, self.frames = model_content.decode().strip(), 0
        if self.graph not in ("soundstream_encoder", "quantizer", "lyragan"):
            raise ValueError("The model is not\na valid Flatbuffer buffer")

    def get_signature_runner(self, name):
        names = {"quantizer": ("encode", "decode")}.get(self.graph, ("serving_default",))
        if name not in names:
            raise ValueError(f"SignatureRunner only supports: {names}")
        return getattr(self, self.graph if name == "serving_default" else name)

    def soundstream_encoder(self, *, input_audio):
        assert (input_audio.shape, input_audio.dtype) == ((1, 320), np.float32)
        self.frames += 1
        return {"output_0": np.round(input_audio[None, :, :64] * 32768) + self.frames - 1}

    def encode(self, *, input_frames, num_quantizers):
        codes = np.full((46, 1, 1), -1, np.int32)
        codes[:num_quantizers, 0, 0] = input_frames.ravel()[:num_quantizers].astype(int) % 16
        return {"output_0": codes, "output_1": np.int32(4)}

    def decode(self, *, encoding_indices):
        assert (encoding_indices.shape, encoding_indices.dtype) == ((46, 1, 1), np.int32)
        return {"output_0": np.pad(encoding_indices.ravel(), (0, 18)).astype(np.float32)[None, None]}

    def lyragan(self, *, input_audio):
        assert input_audio.shape == (1, 1, 64)
        return {"output_0": np.pad(input_audio[0], ((0, 0), (0, 256))) / 32768}


@pytest.fixture
def graphs(tmp_path, monkeypatch):
    """A folder of graphs for the interpreter above."""
    package = types.ModuleType("ai_edge_litert.interpreter")
    package.Interpreter = Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", package)
    for name in ("soundstream_encoder", "quantizer", "lyragan"):
        (tmp_path / f"{name}.tflite").write_text(name)
    return tmp_path


@pytest.mark.parametrize(("kbps", "quantizers"), [(3.2, 16), (6, 30), (9.2, 46)])
def test_packets_have_the_bits_of_the_rate_and_the_decoder_has_no_more(graphs, kbps, quantizers):
    codec = open_codec(f"lyra:{graphs}")
    levels = np.random.default_rng(0).integers(-32768, 32768, 700)  # two frames, and a third in part
    coded = codec.run((levels / 32768).astype(np.float32), 16000, kbps)
    frames = np.pad(levels, (0, 260)).reshape(3, 320)
    codes = (frames[:, :quantizers] + np.arange(3)[:, None]) % 16
    np.testing.assert_array_equal(coded.codes, codes.T)
    assert coded.codebook_size == 16
    bits = "".join(f"{code:04b}" for code in codes.ravel())
    assert coded.data == int(bits, 2).to_bytes(len(bits) // 8)
    assert (len(bits) / 3 * 50 / 1000, coded.payload_bytes) == (kbps, len(coded.data))
    sent = np.pad(np.pad(codes, ((0, 0), (0, 46 - quantizers)), constant_values=-1), ((0, 0), (0, 274)))
    np.testing.assert_array_equal(32768 * coded.wave_hat.reshape(3, 320), sent)


def test_each_clip_begins_a_stream(graphs):
    codec, wave = open_codec(f"lyra:{graphs}"), np.zeros(960, np.float32)
    assert codec.run(wave, 16000, 6).data == codec.run(wave, 16000, 6).data
    assert codec.run(wave, 16000, 6).codes[0].tolist() == [0, 1, 2]


def test_it_runs_at_the_nearest_of_three_rates_and_at_any_rate_of_samples(graphs):
    spec, rates = parse_spec(f"lyra:{graphs}@3/12")
    codec = open_codec(spec)
    assert (codec.name, codec.rates_kbps(rates)) == ("lyra", [3.2, 9.2])
    assert len(codec.run(np.zeros(44100, np.float32), 44100, 3.2).data) == 50 * 8
    assert len(codec.run(np.zeros(44100, np.float32), 44100, 3.2).wave_hat) == 44100
    with pytest.raises(AudioError, match="no samples"):
        codec.run(np.zeros(0, np.float32), 16000, 3.2)


def test_its_version_is_that_of_the_graphs(graphs):
    before = open_codec(f"lyra:{graphs}").version
    assert open_codec(f"lyra:{graphs}").version == before
    (graphs / "lyragan.tflite").write_text("lyragan ")
    assert open_codec(f"lyra:{graphs}").version != before


def test_what_is_missing_or_wrong_is_said(graphs, monkeypatch):
    with pytest.raises(ConfigError, match="lyra needs the folder .* give lyra:FOLDER"):
        open_codec("lyra")
    (graphs / "lyragan.tflite").write_text("quantizer")
    with pytest.raises(UnavailableError, match=r"graphs that are not those of Lyra v2 \(.*\); fetch them"):
        open_codec(f"lyra:{graphs}")
    (graphs / "lyragan.tflite").write_text("<html>")
    with pytest.raises(UnavailableError, match=r"Lyra v2 \(The model is not a valid Flatbuffer buffer\); fetch them"):
        open_codec(f"lyra:{graphs}")
    (graphs / "lyragan.tflite").unlink()
    with pytest.raises(UnavailableError, match="lyra needs .*lyragan.tflite; it is in lyra/model_coeffs"):
        open_codec(f"lyra:{graphs}")
    (graphs / "lyragan.tflite").write_text("lyragan")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UnavailableError, match="lyra needs ai-edge-litert; pip install ai-edge-litert"):
        open_codec(f"lyra:{graphs}")


@pytest.mark.skipif(not GRAPHS, reason="VQCODEC_LYRA names no folder with the graphs of Lyra v2")
def test_the_true_graphs_render_speech_better_the_more_bits_they_have(speech):
    codec = open_codec(f"lyra:{GRAPHS}")
    scores = [pesq_wb(speech, codec.run(speech, 16000, kbps).wave_hat[: len(speech)], 16000) for kbps in (3.2, 6, 9.2)]
    assert scores == sorted(scores)
    assert scores[0] > 2  # noise of the right envelope is at 1.1
