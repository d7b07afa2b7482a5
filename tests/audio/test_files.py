"""Audio files, read and written: what goes in comes out, and what is no sound is refused in one line."""

import io
import os
import subprocess

import numpy as np
import pytest
import soundfile

from vqcodec.audio.reader import AudioReader
from vqcodec.audio.writer import AudioWriter, check_format
from vqcodec.errors import AudioError, OutputError


def read(source, block_samples=1000):
    with AudioReader(source) as audio:
        blocks = list(audio.blocks(block_samples))
        return np.concatenate(blocks or [np.zeros((audio.channels, 0), np.float32)], axis=1), audio.rate_hz


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_formats_give_back_what_was_written(tmp_path, noise, suffix, channels):
    wave = noise(channels, 2500)
    path = tmp_path / f"a{suffix}"
    with AudioWriter(path, rate_hz=22050, channels=channels) as audio:
        audio.write(wave[:, :1000])
        audio.write(wave[:, 1000:])
    back, rate_hz = read(path)
    assert rate_hz == 22050
    assert np.abs(back - wave).max() <= 1 / 32768


def test_a_file_object_that_can_only_read_is_enough(speech_path, speech):
    class Plain:
        """No readinto, as some that others write."""

        def __init__(self, file):
            self.read, self.seek, self.tell, self.seekable = file.read, file.seek, file.tell, file.seekable

    with speech_path.open("rb") as file, AudioReader(Plain(file)) as audio:
        assert sum(block.shape[1] for block in audio.blocks(10_000)) == len(speech)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_lossy_formats_keep_rate_and_channels(tmp_path, speech, suffix):
    path = tmp_path / f"a{suffix}"
    with AudioWriter(path, rate_hz=16000, channels=2) as audio:
        audio.write(np.stack([speech, speech]))
    back, rate_hz = read(path)
    assert rate_hz == 16000
    assert back.shape[0] == 2
    assert abs(back.shape[1] - len(speech)) < 3000


def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path, rate_hz=8000, channels=1) as audio:
        audio.write(np.array([[2.0, -2.0, 0.5]], np.float32))
    assert np.allclose(read(path)[0], [[1, -1, 0.5]], atol=1e-4)


def test_a_pipe_reads_as_a_file(speech_path):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    from_pipe, _ = read(Pipe(speech_path.read_bytes()))
    assert np.array_equal(from_pipe, read(speech_path)[0])


def test_a_named_pipe_reads_as_a_file(tmp_path, speech_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", speech_path, pipe]):
        from_pipe, _ = read(pipe)
    assert np.array_equal(from_pipe, read(speech_path)[0])


def wav_bytes(wave, rate_hz=8000, subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate_hz, subtype=subtype, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_place(tmp_path, bad):
    wave = np.zeros(8000, np.float32)
    wave[4000] = bad
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(wave))
    with pytest.raises(AudioError, match=r"0:00:00\.500 is NaN or infinite"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"This is a text file that calls itself audio.\n", "no audio that libsndfile reads"),
        (b"RIFF", "no audio"),
        (wav_bytes(np.zeros(800), rate_hz=3999), "3999 Hz is not in"),
        (wav_bytes(np.zeros(800), rate_hz=384000), "384000 Hz is not in"),
    ],
)
def test_what_is_no_codable_audio_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_cut_flac_is_told_from_a_whole_one(tmp_path, speech_path):
    path = tmp_path / "cut.flac"
    path.write_bytes(speech_path.read_bytes()[:50_000])
    with pytest.raises(AudioError, match="cut or damaged|unreadable after"):
        read(path)


def test_a_header_that_says_no_samples_before_data_is_refused(tmp_path):
    """Of a format other than WAV, which is read to its end."""
    soundfile.write(tmp_path / "a.au", np.full(8000, 0.5), 16000, subtype="PCM_16")
    data = bytearray((tmp_path / "a.au").read_bytes())
    data[8:12] = bytes(4)
    path = tmp_path / "streamed.au"
    path.write_bytes(bytes(data))
    with pytest.raises(AudioError, match="0 samples"):
        read(path)


@pytest.mark.parametrize("scale", [32768, 2**31])
def test_integers_written_as_floats_are_refused_and_loud_floats_are_not(tmp_path, speech, scale):
    path = tmp_path / "a.wav"
    soundfile.write(path, speech * scale, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a peak of \d+, where full scale is 1; divide"):
        read(path)
    soundfile.write(path, speech * 8, 16000, subtype="FLOAT")
    assert np.abs(read(path)[0]).max() > 1


def test_what_a_library_prints_about_a_file_has_its_name(tmp_path, speech, capfd):
    path = tmp_path / "two.mp3"
    with AudioWriter(path, rate_hz=16000, channels=1) as audio:
        audio.write(speech[None])
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(AudioError, match="joined"):
        read(path)
    printed = capfd.readouterr().err.splitlines()
    assert printed, "libmpg123 wonders about the length that the header says"
    assert all(line.startswith(f"{path}: ") for line in printed)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(AudioError, match="cannot read"):
        read(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        read(tmp_path)


def test_formats_that_cannot_hold_the_audio_are_refused_early(tmp_path):
    with pytest.raises(AudioError, match="use .wav, .flac"):
        check_format("a.m4a", rate_hz=16000, channels=1)
    with pytest.raises(AudioError, match="without suffix"):
        check_format("a", rate_hz=16000, channels=1)
    with pytest.raises(AudioError, match="cannot hold 6 channel"):
        check_format("a.mp3", rate_hz=16000, channels=6)
    with pytest.raises(OutputError):
        AudioWriter(tmp_path / "none" / "a.wav", rate_hz=8000, channels=1)
