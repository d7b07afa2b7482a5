import numpy as np
import pytest

from vqcodec.errors import ConfigError, ModelError, OutputError
from vqcodec.models.effort import EFFORTS
from vqcodec.models.export import export_onnx
from vqcodec.models.onnx_codec import OnnxCodec
from vqcodec.models.zoo import load
from vqcodec.sessions.stream import DecodeSession, EncodeSession

pytestmark = pytest.mark.slow  # torch's exporter takes its time


def test_any_model_runs_on_both_engines_alike(exported, toy_codec, noise):
    onnx_codec = OnnxCodec(exported / "toy.safetensors")
    for channels, samples, depth in ((1, 160, 1), (1, 1600, 3), (3, 4800, 2)):
        wave = noise(channels, samples)
        sessions = [EncodeSession(c, num_codebooks=depth, batch=channels) for c in (toy_codec, onnx_codec)]
        wanted, codes = (session.push(wave) for session in sessions)
        assert np.mean(codes == wanted) >= 0.999
        waves = [DecodeSession(c, batch=channels).push(wanted) for c in (toy_codec, onnx_codec)]
        assert np.abs(waves[0] - waves[1]).max() < 1e-5


@pytest.mark.parametrize("effort", EFFORTS)
def test_each_effort_has_a_graph_of_its_own(exported, noise, effort):
    wave = noise(2, 8000)
    engines = [
        load(exported / "toy.safetensors", effort=effort),
        OnnxCodec(exported / "toy.safetensors", effort=effort),
    ]
    wanted, codes = (EncodeSession(engine, batch=2).push(wave) for engine in engines)
    assert np.mean(codes == wanted) >= 0.999


def test_any_onnx_runtime_can_run_the_graphs(exported, toy_codec, noise):
    """Only what the docstring of export_onnx says: names, shapes, zeros to start from."""
    import onnxruntime

    wave = noise(2, 480)
    graph = onnxruntime.InferenceSession(exported / "toy.encoder.onnx")
    names = [value.name for value in graph.get_inputs()]
    assert names == ["wave", "num_codebooks", *(f"past.{number}" for number in range(len(names) - 2))]
    pasts = {v.name: np.zeros((2, *v.shape[1:]), np.float32) for v in graph.get_inputs()[2:]}
    codes, *new = graph.run(None, {"wave": wave, "num_codebooks": np.array(toy_codec.total_codebooks), **pasts})
    assert np.array_equal(codes, EncodeSession(toy_codec, batch=2).push(wave))
    assert [value.shape for value in new] == [value.shape for value in pasts.values()]


def test_the_graphs_are_small_and_tell_nothing_of_the_machine(exported):
    for path in exported.glob("*.onnx"):
        data = path.read_bytes()
        assert len(data) < 100_000
        assert b"site-packages" not in data
        assert b".py" not in data


def test_bad_input_is_told_and_leaves_nothing(exported, toy_weights, tmp_path):
    before = {path: path.read_bytes() for path in exported.iterdir()}
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(toy_weights, exported)
    assert {path: path.read_bytes() for path in exported.iterdir()} == before
    with pytest.raises(ModelError, match="no such model"):
        export_onnx("speech-99k", tmp_path / "none")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder"):
        export_onnx(toy_weights, tmp_path / "file")


def test_a_missing_exporter_names_the_remedy(toy_weights, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install -c lock.txt '\.\[export\]'"):
        export_onnx(toy_weights, tmp_path)
