"""encode --live and decode --live as processes in pipes, fed at the pace of a microphone."""

import io
import os
import select
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from vqcodec.audio.wavstream import wav_header
from vqcodec.bitstream import VqcReader
from vqcodec.cli import main
from vqcodec.files.convert import decode_file

COMMAND = [sys.executable, "-m", "vqcodec"]
QUICK = ("--engine", "onnx")
"""For what is no matter of the engine: importing torch takes a process 2 s."""
FRAME_SAMPLES, RATE_HZ = 320, 16000


class Pipeline:
    """encode --live - - | decode --live - -, both ready."""

    def __init__(self, *options, engine=()):
        self.encoder = self._start("encode", *options, *engine, stdin=subprocess.PIPE)
        self.decoder = self._start("decode", *engine, stdin=self.encoder.stdout)
        self.encoder.stdout.close()
        for process in (self.encoder, self.decoder):
            assert process.stderr.readline() == b"ready\n"

    @staticmethod
    def _start(command, *options, stdin):
        arguments = [*COMMAND, command, "--live", *options, "-", "-"]
        return subprocess.Popen(arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in (self.encoder, self.decoder):
            process.kill()
            process.wait()
            for file in (process.stdin, process.stdout, process.stderr):
                if file is not None:
                    file.close()

    def settle(self, samples):
        """Feed `samples` [T] int16 frame by frame, each when the sound that those before it settle has come out."""
        out = self.decoder.stdout
        self.encoder.stdin.write(wav_header(RATE_HZ, 1))
        data = b""
        for number, frame in enumerate(np.split(samples, len(samples) // FRAME_SAMPLES)):
            self.encoder.stdin.write(frame.tobytes())
            settled = 44 + 2 * ((number + 1) * FRAME_SAMPLES - DELAY_SAMPLES)
            while len(data) < settled:
                assert select.select([out], [], [], _PATIENCE_SECONDS)[0], f"frame {number} waits for more to come"
                data += out.read(1 << 16)
            assert len(data) == settled, "what the next frame overlaps is not settled"
        self.encoder.stdin.close()
        while piece := out.read(1 << 16):
            data += piece
        return np.frombuffer(data[44:], "<i2")


DELAY_SAMPLES = 320
"""Samples at the end of a frame that wait for the next one: the decoder's windows overlap."""
_PATIENCE_SECONDS = 60
"""Whoever has not spoken by then waits for something, however busy the machine is."""


def speech_samples(speech, seconds):
    return np.resize((speech * 32767).astype("<i2"), seconds * RATE_HZ)


@pytest.mark.slow
def test_the_sound_of_each_frame_comes_out_before_the_next_comes_in(speech):
    """So the lag is 40 ms of sound, and does not grow. How long a frame takes is for tools/bench."""
    samples = speech_samples(speech, 2)
    with Pipeline("--chunk-ms", "20") as pipeline:
        assert len(pipeline.settle(samples)) == len(samples)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_file_while_the_input_goes_on(number, tmp_path, speech):
    samples = speech_samples(speech, 1)
    with subprocess.Popen(
        [*COMMAND, "encode", "--live", *QUICK, "-", tmp_path / "a.vqc"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stderr.readline() == b"ready\n"
        process.stdin.write(wav_header(RATE_HZ, 1) + samples.tobytes())
        while (tmp_path / "a.vqc").stat().st_size < 12 * 68 if (tmp_path / "a.vqc").exists() else True:
            time.sleep(0.01)
        process.send_signal(number)
        error = process.stderr.read()
        assert process.wait() == 0, error
        process.stdin.close()
    assert b"0:00:01.00" in error
    assert VqcReader(io.BytesIO((tmp_path / "a.vqc").read_bytes())).scan().samples == len(samples)


def test_ctrl_c_in_a_pipeline_loses_no_sound(speech):
    samples = speech_samples(speech, 1)
    with Pipeline(engine=QUICK) as pipeline:
        pipeline.encoder.stdin.write(wav_header(RATE_HZ, 1) + samples.tobytes())
        head = pipeline.decoder.stdout.read(44)
        data = b""
        while len(data) < 2 * 12 * 1280 - 2 * DELAY_SAMPLES:  # the twelve chunks that are full
            data += pipeline.decoder.stdout.read(1 << 16)
        for process in (pipeline.decoder, pipeline.encoder):
            process.send_signal(signal.SIGINT)
        data += b"".join(iter(lambda: pipeline.decoder.stdout.read(1 << 16), b""))
        assert (pipeline.encoder.wait(), pipeline.decoder.wait()) == (0, 0)
    assert (len(head), len(data)) == (44, 2 * len(samples))


def run(*arguments, code=0, **kwargs):
    result = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, check=False, **kwargs)
    assert result.returncode == code, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    return result


def test_a_cut_stream_is_written_as_far_as_it_goes_and_one_error(tmp_path, speech):
    wav = wav_header(RATE_HZ, 1) + speech_samples(speech, 2).tobytes()
    coded = run("encode", "--live", *QUICK, "--quiet", "--chunk-ms", 20, "-", "-", input=wav)
    assert coded.stderr == b""
    result = run("decode", "--live", *QUICK, "--quiet", "-", "-", input=coded.stdout[: 16 + 32 * 60 + 9], code=1)
    assert len(result.stdout) == 44 + 2 * 60 * FRAME_SAMPLES
    assert result.stderr == b"Error: standard input: the .vqc is cut: it ends after 0:00:01.20\n"
    raw = run("decode", "--live", *QUICK, "--raw", "-", tmp_path / "a.pcm", input=coded.stdout)
    assert raw.stderr.startswith(b"ready\n")
    decode_file(io.BytesIO(coded.stdout), tmp_path / "a.wav", engine="onnx")
    expected = soundfile.read(tmp_path / "a.wav", dtype="int16")[0].astype(int)
    got = np.frombuffer((tmp_path / "a.pcm").read_bytes(), "<i2")
    assert np.abs(got - expected).max() <= 1


@pytest.mark.parametrize(
    ("options", "most_bytes"), [(["--dtx"], 360), (["--vbr", "4", "--chunk-ms", "500"], 130), ([], 1000)]
)
def test_silence_takes_few_bytes_where_the_rate_follows_the_sound(tmp_path, options, most_bytes):
    """Two seconds at 3 kbps; pauses are known to be such after half of one."""
    (tmp_path / "a.wav").write_bytes(wav_header(RATE_HZ, 1) + bytes(4 * RATE_HZ))
    arguments = ["encode", "--live", *QUICK, "--kbps", "3", *options, str(tmp_path / "a.wav"), str(tmp_path / "a.vqc")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    data = (tmp_path / "a.vqc").read_bytes()
    assert most_bytes / 2 < len(data) <= most_bytes
    assert VqcReader(io.BytesIO(data)).scan().samples == 2 * RATE_HZ


def test_a_named_pipe_and_raw_samples(tmp_path, speech):
    os.mkfifo(tmp_path / "sound")
    samples = speech_samples(speech, 1)
    writer = threading.Thread(target=(tmp_path / "sound").write_bytes, args=(samples.tobytes(),))
    writer.start()
    raw = ("--raw-rate", 8000, "--raw-channels", 2)
    run("encode", "--live", *QUICK, *raw, tmp_path / "sound", tmp_path / "a.vqc")
    writer.join()
    reader = VqcReader(io.BytesIO((tmp_path / "a.vqc").read_bytes()))
    assert (reader.header.original_rate_hz, reader.header.channels) == (8000, 2)
    assert reader.scan().samples == len(samples) // 2


def test_a_reader_that_goes_away_ends_both_quietly(speech):
    with Pipeline(engine=QUICK) as pipeline:
        pipeline.decoder.stdout.close()
        with pytest.raises(BrokenPipeError):
            for _ in range(1000):
                pipeline.encoder.stdin.write(wav_header(RATE_HZ, 1) + speech_samples(speech, 1).tobytes())
        errors = [process.stderr.read() for process in (pipeline.encoder, pipeline.decoder)]
        assert all(process.wait() != 0 for process in (pipeline.encoder, pipeline.decoder))
    assert errors == [b"", b""]


def test_garbage_is_one_error_line():
    for command, message in (("encode", b"no WAV stream"), ("decode", b"not a .vqc file")):
        error = run(command, "--live", *QUICK, "-", "-", input=b"garbage " * 20, code=1).stderr
        assert error.startswith(b"ready\nError: standard input: " + message)
        assert error.count(b"\n") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "--chunk-ms", "20", "a", "b"], "--chunk-ms goes with --live"),
        (["encode", "--dtx", "a", "b"], "--dtx goes with --live"),
        (["encode", "--raw-rate", "8000", "a", "b"], "--raw-rate goes with --live"),
        (["encode", "--live", "--raw-channels", "2", "a", "b"], "--raw-channels goes with --raw-rate"),
        (["encode", "--live", "--out-dir", "c", "a"], "one stream"),
        (["decode", "--raw", "a", "b"], "--raw goes with --live"),
        (["decode", "--live", "--start", "1", "a", "b"], "from its beginning"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments, message):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["encode", "--raw-rate", "16000", "pipe", "a.vqc"], 0), (["decode", "whole.vqc", "pipe"], 1)],
)
def test_a_signal_ends_the_wait_for_the_other_end_of_a_named_pipe(tmp_path, speech_path, arguments, code):
    os.mkfifo(tmp_path / "pipe")
    run("encode", *QUICK, speech_path, tmp_path / "whole.vqc")
    command = [*COMMAND, arguments[0], "--live", *QUICK, *arguments[1:]]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == code
    assert told.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number", "name"),
    [
        ("encode", signal.SIGTERM, "standard output"),
        ("decode", signal.SIGINT, "standard output"),
        ("decode", signal.SIGTERM, "pipe"),
    ],
)
def test_the_first_signal_ends_a_stream_whose_reader_takes_nothing(tmp_path, speech, command, number, name):
    soundfile.write(tmp_path / "a.wav", np.resize(speech, 20 * RATE_HZ), RATE_HZ)
    run("encode", *QUICK, tmp_path / "a.wav", tmp_path / "a.vqc")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY)
    raw = {"encode": ("--raw-rate", "8000"), "decode": ()}[command]  # /dev/zero, so that the codes fill a pipe
    source, target = {"encode": "/dev/zero", "decode": "a.vqc"}[command], {"pipe": "pipe"}.get(name, "-")
    arguments = [*COMMAND, command, "--live", "--quiet", *QUICK, *raw, source, target]
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE) as process:
        while select.select([], [writer], [], 0)[1]:
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=_PATIENCE_SECONDS)
    os.close(writer)
    os.close(reader)
    assert told.decode() == f"Error: {name}: its reader takes nothing; what was not written yet is lost\n"
    assert process.returncode == 1
