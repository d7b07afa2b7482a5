"""Fixtures that many tests share: real speech, the bundled model, and a model small enough to train in a test."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from filelock import FileLock

import vqcodec
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.evaluation.messages import run_jobs
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.tokens.work import processes as local
from vqcodec.tokens.work.worker import Worker

# Who starts the tests in the background lets them ignore signals, and so what they start: tests send some.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    """Begin with the slow tests, a half of their modules in each half of all: two processes then end together."""
    slow = {}
    for item in items:
        if item.get_closest_marker("slow"):
            slow.setdefault(item.path, []).append(item)
    quick = [item for item in items if not item.get_closest_marker("slow")]
    modules, middle = list(slow.values()), len(quick) // 2
    items[:] = [*chain(*modules[::2]), *quick[:middle], *chain(*modules[1::2]), *quick[middle:]]


@pytest.fixture(scope="session")
def speech_path():
    return DATA / "ljspeech.flac"


@pytest.fixture(scope="session")
def speech(speech_path):
    """[T] float32 at 16 kHz."""
    wave, rate_hz = soundfile.read(speech_path, dtype="float32")
    assert rate_hz == 16000
    return wave


@pytest.fixture(scope="session")
def codec():
    """The bundled model."""
    return vqcodec.load()


@pytest.fixture(scope="session")
def agreement(codec):
    """Function: the share of codes [1, K, F] of a wave [1, T] that two engines of the bundled model agree on.

    They do where the codes are the same, and in a frame where theirs leave as much over, to 1e-4 of it: where two sums
    of vectors are as near, the rounding of floats decides, and the codes behind go with it.
    """

    @torch.inference_mode()
    def share(wave, found, wanted):
        latent = codec.encoder(torch.from_numpy(wave[:, : found.shape[2] * codec.hop_length]))[0]
        left, wanted_left = (
            (latent - codec.quantizer.decode(torch.from_numpy(codes))).square().sum(2).numpy()
            for codes in (found, wanted)
        )
        is_as_good = np.isclose(left, wanted_left, rtol=1e-4, atol=0)[:, None]
        return np.mean((found == wanted) | is_as_good)

    return share


@pytest.fixture(scope="session")
def toy_config():
    return ModelConfig(
        name="toy",
        sample_rate_hz=8000,
        hop_length=160,
        window_length=160,
        stft_hop=40,
        stft_channels=8,
        channels=16,
        encoder_stft_blocks=1,
        encoder_blocks=1,
        decoder_blocks=1,
        decoder_stft_blocks=1,
        latent_dim=8,
        total_codebooks=3,
        codebook_size=16,
    )


@pytest.fixture(scope="session")
def toy_weights(toy_config, tmp_path_factory):
    """A weights file of an untrained toy model."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("toy") / "toy.safetensors"
    save_weights(toy_config, Codec(toy_config).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function of a name and a function: the folder of that name, filled by it once for all processes of tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # that of the run; each process has one of its own in it

    def make(name, fill):
        folder = root / name
        with FileLock(root / f"{name}.lock"):
            if not folder.exists():
                part = Path(tempfile.mkdtemp(dir=root))
                fill(part)
                part.rename(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def launcher(made_once):
    """A folder of `vqcodec` and `python` that start in no time, for the front of PATH; see tests/launcher.py."""
    if sys.platform != "linux":
        return Path(sys.executable).parent
    tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    program = [sys.executable, Path(__file__).with_name("launcher.py")]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(folder):
        subprocess.run([*program, folder, str(tests)], env=variables, stdin=subprocess.DEVNULL, check=True)

    return made_once("launcher", start)


@pytest.fixture
def python(request):
    """The program for Python: that of `launcher` for slow tests; the quick ones are too few to wait for its start."""
    return request.getfixturevalue("launcher") / "python" if request.node.get_closest_marker("slow") else sys.executable


@pytest.fixture(scope="session")
def bash(launcher):
    """Function: run a script of bash whose `vqcodec` and `python` are those of `launcher`; returns what came of it."""

    def start(*arguments, **options):
        path = os.pathsep.join([str(launcher), str(Path(sys.executable).parent), os.environ["PATH"]])
        command = ["bash", *map(str, arguments)]
        variables = {**os.environ, "PATH": path, **options.pop("env", {})}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, **options)

    return start


@pytest.fixture(scope="session")
def exported(toy_weights, made_once):
    """The folder of an exported toy model, whose weights lay in it before; who changes it copies it."""

    def export(folder):
        from vqcodec.models.export import export_onnx

        shutil.copy(toy_weights, folder / "toy.safetensors")
        paths = export_onnx(folder / "toy.safetensors", folder, force=True)
        assert (folder / "toy.safetensors").read_bytes() == toy_weights.read_bytes()
        encoders = ["toy.encoder-fast.onnx", "toy.encoder.onnx", "toy.encoder-best.onnx"]
        assert [path.name for path in paths] == ["toy.safetensors", *encoders, "toy.decoder.onnx"]

    return made_once("exported", export)


@pytest.fixture(scope="session")
def toy_codec(toy_weights):
    return load_weights(toy_weights)


@pytest.fixture(scope="session")
def wavtokenizer(tmp_path_factory):
    """A tiny WavTokenizer of transformers with random weights, which docs/extending.md adapts, and its folder."""
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "WavTokenizerModel"):
        pytest.skip("this transformers has no WavTokenizer")
    torch.manual_seed(0)
    config = transformers.WavTokenizerConfig(
        num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1, decoder_hidden_size=32,
        decoder_intermediate_size=32, decoder_num_layers=1, decoder_attention_num_groups=4,
    )  # fmt: skip
    model = transformers.WavTokenizerModel(config).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("embed"):
            torch.nn.init.normal_(buffer)
    folder = tmp_path_factory.mktemp("transformers") / "wavtokenizer"
    model.save_pretrained(folder)
    return model, folder


@pytest.fixture
def read_only_folder():
    """A folder that nobody may write to; root, who may write anywhere, is another user meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.setresuid(65534, 65534, 0)
        yield folder
        if root:
            os.setresuid(0, 0, 0)
        assert list(folder.iterdir()) == []
        folder.chmod(0o755)


@pytest.fixture
def in_process(monkeypatch):
    """Commands do here what they give to one worker process, which takes seconds to import torch; to two, they do give.

    For tests of what comes out; that processes do the same is for tests/tokens/test_run.py and tests/evaluation.
    """
    in_processes = local.run_local

    def run_local(folder, shards, model, workers):
        if workers.count == 1:
            yield from map(Worker(folder, model, workers).run, shards)
        else:
            yield from in_processes(folder, shards, model, workers)

    monkeypatch.setattr(local, "run_local", run_local)
    monkeypatch.setattr("vqcodec.evaluation.run.run_jobs", lambda jobs, *, workers: run_jobs(jobs, workers=0))


@pytest.fixture(scope="session")
def noise():
    """Function of channels and samples -> [C, T] float32, the same for the same arguments."""

    def make(channels, samples):
        return np.random.default_rng(samples).normal(0, 0.1, (channels, samples)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def chords():
    """Function of seconds and a rate -> [1, T] float32: a triad a second, with overtones and a slow decay."""

    def make(seconds=8.0, rate_hz=16000):
        time = np.arange(rate_hz) / rate_hz
        bars = []
        for root_hz in np.resize([220.0, 293.7, 329.6, 220.0], round(seconds)):
            notes = [np.sin(2 * np.pi * root_hz * step * n * time) / n for step in (1, 1.26, 1.5) for n in range(1, 5)]
            bars.append(sum(notes) * np.exp(-time))
        return (0.05 * np.concatenate(bars))[None].astype(np.float32)

    return make


@pytest.fixture(scope="session")
def ecdc_bytes():
    """Function of codes [K, F] and samples -> the file that EnCodec writes."""

    def make(codes, samples, *, bits=10, **metadata):
        """As EnCodec's BitPacker: a number that grows at its high end, for each frame all codebooks. codes [K, F]."""
        packed = sum(int(code) << bits * place for place, code in enumerate(np.asarray(codes).T.reshape(-1)))
        text = json.dumps({"m": "encodec_24khz", "al": samples, "nc": len(codes), "lm": False, **metadata}).encode()
        body = packed.to_bytes(-(-np.size(codes) * bits // 8), "little")
        return b"ECDC\x00" + len(text).to_bytes(4, "big") + text + body

    return make


@pytest.fixture(scope="session")
def tool():
    """tools/golden.py as a module."""
    spec = importlib.util.spec_from_file_location("golden", ROOT / "tools" / "golden.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def entropy(tool):
    """The small entropy model of the golden files: two layers, 32 codes."""
    return EntropyModel(tool.entropy_tensors())
