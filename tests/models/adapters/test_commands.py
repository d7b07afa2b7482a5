"""Every command takes a model of transformers where it takes one of ours."""

import json
import re
import subprocess

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from vqcodec.cli import main
from vqcodec.evaluation.codecs.library import NeuralCodec
from vqcodec.evaluation.results import read_results
from vqcodec.models.adapters.folder import ModelFolder
from vqcodec.tokens import open as open_tokens

pytest.importorskip("transformers")


@pytest.fixture
def run():
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.mark.slow
def test_files_are_coded_described_and_thinned(folder, run, speech, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.stack((speech[:20000], speech[5000:25000]), axis=1), 16000)
    model = ("--model", f"hf:{folder}")
    run("encode", tmp_path / "in.wav", tmp_path / "a.vqc", *model)
    facts = json.loads(run("info", tmp_path / "a.vqc", "--json").output)
    assert facts["channels"] == 2
    run("thin", tmp_path / "a.vqc", tmp_path / "thin.vqc", "--codebooks", "1")
    run("verify", tmp_path / "thin.vqc")
    for name in ("a", "thin"):
        run("decode", tmp_path / f"{name}.vqc", tmp_path / f"{name}.wav", *model)
        info = soundfile.info(tmp_path / f"{name}.wav")
        assert (info.frames, info.channels, info.samplerate) == (20000, 2, 16000)
    assert "give its weights file" in run("decode", tmp_path / "a.vqc", tmp_path / "no.wav", code=1).output
    assert not (tmp_path / "no.wav").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("encodec", 2), ("dac-16k", 2), ("xcodec", 2), ("mimi", 2), ("xcodec2", 1), ("neucodec", 1)]
)
def test_datasets_become_tokens_and_audio_again(name, count, saved, run, speech, tmp_path, in_process):
    model = ("--model", f"hf:{saved(name)}")
    (tmp_path / "clips").mkdir()
    lengths = {"a": 9000, "b": 20000, "c": 1}
    for clip, length in lengths.items():
        soundfile.write(tmp_path / "clips" / f"{clip}.wav", speech[:length], 16000)
    run("tokenize", tmp_path / "clips", tmp_path / "tokens", *model, "--codebooks", count, "--workers", "1")
    alone = ("--batch-seconds", "0.1")  # what is longer than a batch takes another path
    run("tokenize", tmp_path / "clips", tmp_path / "alone", *model, "--codebooks", count, "--workers", "1", *alone)
    tokens, others = open_tokens(tmp_path / "tokens"), open_tokens(tmp_path / "alone")
    for clip in lengths:
        assert tokens[clip].codes.shape[0] == count
        np.testing.assert_array_equal(tokens[clip].codes, others[clip].codes)
    run("tokens", "info", tmp_path / "tokens")
    run("detokenize", tmp_path / "tokens", tmp_path / "audio", *model)
    run("encode", tmp_path / "clips" / "b.wav", tmp_path / "b.vqc", *model, "--codebooks", count)
    run("decode", tmp_path / "b.vqc", tmp_path / "b.wav", *model)
    for clip, length in lengths.items():
        assert soundfile.info(tmp_path / "audio" / f"{clip}.wav").frames == length
    same = [soundfile.read(path)[0] for path in (tmp_path / "b.wav", tmp_path / "audio" / "b.wav")]
    np.testing.assert_allclose(*same, atol=1e-4)


def test_tokens_of_a_model_that_takes_levels_out_are_refused(saved, run, speech_path, tmp_path):
    model = ("--model", f"hf:{saved('encodec-stereo')}")
    assert "takes levels out" in run("tokenize", speech_path, tmp_path / "tokens", *model, code=1).output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encodec", "encodec-stereo", "dac-16k", "xcodec", "mimi"])
def test_evaluate_draws_them_beside_others(name, saved, run, speech, tmp_path, in_process):
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    codecs = f"hf:{saved(name)}@0.1/9,pcm"
    arguments = ("--codecs", codecs, "--metrics", "si_sdr", "--listen", "0", "--workers", "1")
    run("evaluate", tmp_path / "clip.wav", *arguments, "--out", tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    own = [row for row in rows if row["codec"] == name]
    assert len(own) == 2
    assert all(row["kbps"] > 0 for row in own)


def test_a_live_stream_is_refused_before_anything_is_written(saved, run, tmp_path):
    output = run("encode", "--live", "-", tmp_path / "a.vqc", "--model", f"hf:{saved('dac')}", code=1).output
    assert "codes whole clips, no streams" in output


@pytest.mark.slow
def test_worker_processes_know_models_of_a_hub(saved, run, speech, tmp_path):
    model = f"hf:{saved('encodec')}"
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    run("tokenize", tmp_path / "clip.wav", tmp_path / "tokens", "--model", model, "--workers", "1")
    assert open_tokens(tmp_path / "tokens")["clip"].samples == 16000
    arguments = ("--codecs", f"{model}@0.9", "--metrics", "si_sdr", "--listen", "0", "--workers", "1")
    run("evaluate", tmp_path / "clip.wav", *arguments, "--out", tmp_path / "out")
    (result,) = read_results(tmp_path / "out")
    assert result.error is None


@pytest.mark.slow
def test_mimi_lives_through_pipes(saved, run, speech, tmp_path, launcher):
    model = ("--model", f"hf:{saved('mimi')}")
    stream = tmp_path / "in.wav"
    soundfile.write(stream, speech[:40000], 16000)
    with stream.open("rb") as source:
        coded = subprocess.run(
            [launcher / "vqcodec", "encode", "--live", "-", "-", *model, "--chunk-ms", "160"],
            stdin=source,
            capture_output=True,
            check=True,
        )
    decoded = subprocess.run(
        [launcher / "vqcodec", "decode", "--live", "-", tmp_path / "out.wav", *model],
        input=coded.stdout,
        capture_output=True,
        check=True,
    )
    assert b"Traceback" not in coded.stderr + decoded.stderr
    (tmp_path / "a.vqc").write_bytes(coded.stdout)
    run("decode", tmp_path / "a.vqc", tmp_path / "whole.wav", *model)
    live, whole = (soundfile.read(tmp_path / name)[0] for name in ("out.wav", "whole.wav"))
    assert len(live) == len(whole) == 40000
    np.testing.assert_allclose(live, whole, atol=2e-3)


def test_loading_is_not_part_of_the_speed(saved, run, speech, speech_path, tmp_path, monkeypatch):
    seconds, load = [0.0], ModelFolder.model

    def slow(*arguments, **changes):
        seconds[0] += 1000
        return load(*arguments, **changes)

    monkeypatch.setattr(ModelFolder, "model", slow)
    for clock in ("time.monotonic", "time.perf_counter"):
        monkeypatch.setattr(clock, lambda: seconds[0])
    model = ("--model", f"hf:{saved('dac-16k')}")
    told = run("encode", speech_path, tmp_path / "a.vqc", *model).stderr
    told += run("decode", tmp_path / "a.vqc", tmp_path / "a.wav", *model).stderr
    assert all(int(speed) > 1 for speed in re.findall(r"(\d+) x real time", told)), told
    assert seconds[0] == 2000
    coded = NeuralCodec(model[1]).run(speech[:8000], 16000, 1)
    assert seconds[0] == 3000
    assert (coded.encode_seconds, coded.decode_seconds) == (0, 0)


def test_onnx_is_for_ours(saved, run, speech_path, tmp_path):
    model = ("--model", f"hf:{saved('dac')}", "--engine", "onnx")
    assert "no model of vqcodec" in run("encode", speech_path, tmp_path / "a.vqc", *model, code=1).output
