import dataclasses
import io
import os
import tarfile

import numpy as np
import pytest
import soundfile

from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError
from vqcodec.tokens.sources.loading import load
from vqcodec.tokens.utterances import Utterance


def read(utterance, sample_rate_hz=16000, block_seconds=0.37):
    loaded = load(utterance, sample_rate_hz, block_seconds=block_seconds)
    return np.concatenate(list(loaded.blocks), axis=1), loaded


@pytest.fixture
def stereo(tmp_path, noise):
    """A file of two channels at 44.1 kHz, and its waves."""
    waves = noise(2, 44100)
    soundfile.write(tmp_path / "stereo.wav", waves.T, 44100, subtype="FLOAT")
    return tmp_path / "stereo.wav", waves


def of(path, **fields):
    return Utterance("u", str(path), "u.wav", **fields)


def test_a_file_is_the_mean_of_its_channels_at_the_models_rate(stereo):
    path, waves = stereo
    wave, loaded = read(of(path))
    np.testing.assert_array_equal(wave, resample(waves.mean(axis=0, keepdims=True), 44100, 16000))
    assert (loaded.samples, loaded.rate_hz) == (44100, 44100)


def test_a_channel_can_be_chosen(stereo, speech_path):
    path, waves = stereo
    np.testing.assert_array_equal(read(of(path, channel=1))[0], resample(waves[1:], 44100, 16000))
    with pytest.raises(AudioError, match="has no channel 2; give 0 to 1"):
        read(of(path, channel=2))
    with pytest.raises(AudioError, match="has no channel 1; give 0, or none"):
        read(of(speech_path, channel=1))


def test_the_size_of_blocks_changes_nothing(stereo):
    path, _ = stereo
    np.testing.assert_array_equal(read(of(path))[0], read(of(path), block_seconds=5)[0])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_an_excerpt_is_that_part(tmp_path, speech, suffix):
    path = tmp_path / f"speech.{suffix}"
    soundfile.write(path, speech, 16000)
    whole, _ = soundfile.read(path, dtype="float32")
    wave, loaded = read(of(path, start_seconds=0.5, duration_seconds=0.75))
    np.testing.assert_allclose(wave[0], whole[8000:20000], atol=1e-6)
    assert loaded.samples == 12000


def test_an_excerpt_ends_where_the_file_does_but_for_rounding(stereo):
    path, _ = stereo  # of one second
    assert read(of(path, start_seconds=0.9, duration_seconds=0.19))[1].samples == 4410
    assert read(of(path, start_seconds=0.9))[1].samples == 4410
    assert read(of(path, duration_seconds=7.0))[1].samples == 44100  # what a manifest says of the whole file
    for start in (0.0, 0.9):
        with pytest.raises(
            AudioError, match=r"u\.wav: is to end at 0:00:05\.00, but the audio is 0:00:01\.00 long; correct"
        ):
            read(of(path, start_seconds=start, duration_seconds=5 - start))
    with pytest.raises(AudioError, match=r"u\.wav: begins at 0:00:01\.50, but the audio is 0:00:01\.00 long"):
        read(of(path, start_seconds=1.5))


def test_an_excerpt_of_a_cut_file_is_a_failure(tmp_path, speech):
    soundfile.write(tmp_path / "good.flac", speech, 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "good.flac").read_bytes()[:20000])
    with pytest.raises(AudioError, match="the file is damaged"):
        read(of(tmp_path / "cut.flac", start_seconds=0.1))


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_pipe_or_device_is_not_waited_for(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe.{suffix}")
    (tmp_path / f"zero.{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(AudioError, match=rf"{name}\.{suffix}: is not a regular file"):
            read(of(tmp_path / f"{name}.{suffix}"))
    with pytest.raises(AudioError, match="is a folder; give the path of a file$"):
        read(of(tmp_path))


def test_a_member_of_a_tar_is_read_in_place(tmp_path, speech, speech_path):
    data = speech_path.read_bytes()
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("a.flac")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    wave, _ = read(of(tmp_path / "x.tar", member=(512, len(data))))
    np.testing.assert_array_equal(wave[0], speech)
    with pytest.raises(AudioError, match=r"u\.wav: no audio"):
        read(of(tmp_path / "x.tar", member=(600, 100)))
    with pytest.raises(AudioError, match=r"u\.wav: cannot read"):
        read(of(tmp_path / "y.tar", member=(512, 100)))


def test_a_command_is_run(speech, speech_path):
    wave, _ = read(of("", command=f"cat {speech_path}"))
    np.testing.assert_array_equal(wave[0], speech)
    with pytest.raises(AudioError, match=r"u\.wav: the command failed \(cat: .*no-such"):
        read(of("", command="cat no-such"))


def test_rows_of_a_saved_dataset_are_bytes_or_paths(tmp_path, speech, speech_path):
    import datasets

    rows = [{"path": str(speech_path), "bytes": None}, {"path": None, "bytes": speech_path.read_bytes()}]
    dataset = datasets.Dataset.from_dict({"sound": rows}).cast_column("sound", datasets.Audio(decode=False))
    dataset.save_to_disk(tmp_path / "saved")
    for row in range(2):
        np.testing.assert_array_equal(read(of(tmp_path / "saved", row=row))[0][0], speech)
    with pytest.raises(AudioError, match=r"u\.wav: cannot read"):
        read(of(tmp_path / "saved", row=2))


def test_what_is_wrong_with_a_file_is_an_audio_error(tmp_path, speech):
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.flac", speech, 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "good.flac").read_bytes()[:9000])
    for name, message in [
        ("empty.wav", "empty file"), ("none.wav", "holds no samples"), ("nan.wav", "NaN"), ("cut.flac", "cut"),
        ("gone.wav", "cannot read"),
    ]:  # fmt: skip
        with pytest.raises(AudioError, match=message):
            read(of(tmp_path / name))
        with pytest.raises(AudioError):
            read(dataclasses.replace(of(tmp_path / name), start_seconds=5.0))
