"""Files whose headers are wrong about their length: read whole, or refused; what is fine is left alone."""

import io
import struct

import numpy as np
import pytest
import soundfile

from vqcodec.audio.extent import find_fault, whole
from vqcodec.audio.files import AudioReader
from vqcodec.errors import AudioError, TrainingError
from vqcodec.training.config import DataConfig
from vqcodec.training.data.segments import Segments

RATE_HZ = 16000
FORMATS = {
    "wav": {"format": "WAV"},
    "rf64": {"format": "RF64"},
    "w64": {"format": "W64"},
    "aiff": {"format": "AIFF"},
    "au": {"format": "AU"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}


@pytest.fixture(scope="module")
def sound(speech):
    return speech[20000:52000]


def coded(wave, kind, **options):
    file = io.BytesIO()
    soundfile.write(file, wave, RATE_HZ, **FORMATS[kind], **options)
    return file.getvalue()


def read(data, **options):
    with AudioReader(io.BytesIO(data), **options) as audio:
        return np.concatenate([np.zeros(0, np.float32), *(block[0] for block in audio.blocks(1000))])


def with_sizes(wav, riff, data):
    """A WAV whose header claims other sizes."""
    at = wav.index(b"data") + 4
    return wav[:4] + struct.pack("<I", riff) + wav[8:at] + struct.pack("<I", data) + wav[at + 4 :]


def without_length(flac):
    """As an encoder writes it that cannot seek back: no number of samples, no MD5."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(20) + flac[42:]


def without_tag(mp3):
    """The frames behind the one that tells how many they are."""
    first = max(mp3.find(b"Info"), mp3.find(b"Xing"))
    return mp3[mp3.index(b"\xff\xf3", first) :]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_has_no_fault_and_is_read_as_it_is(sound, kind):
    data = coded(sound, kind)
    file = io.BytesIO(data)
    assert whole(file) is file
    assert find_fault(file, soundfile.SoundFile(io.BytesIO(data)).extra_info) is None
    assert len(read(data)) == pytest.approx(len(sound), abs=2500 if kind == "mp3" else 0)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_refused_or_taken_as_far_as_it_goes(sound, kind, share):
    data = coded(sound, kind)
    cut = data[: int(share * len(data))]
    with pytest.raises(AudioError, match=r"cut|damaged") as caught:
        read(cut)
    assert "--on-truncated take" in str(caught.value) or kind in ("flac", "ogg", "opus")
    if kind not in ("flac", "ogg", "opus"):  # whose decoders refuse some cuts themselves
        taken = read(cut, on_truncated="take")
        assert share * len(sound) - 3000 < len(taken) <= share * len(sound) + 1200
        if kind not in ("mp3",):
            np.testing.assert_allclose(taken, sound[: len(taken)], atol=1e-4)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "ogg", "opus", "mp3"])
def test_two_files_joined_are_refused(sound, kind):
    data = coded(sound, kind) + coded(sound[:12000], kind)
    with pytest.raises(AudioError, match="joined"):
        read(data)
    if kind not in ("wav", "aiff"):  # which libsndfile does not open
        assert len(read(data, on_truncated="take")) >= len(sound)


@pytest.mark.parametrize(
    "sizes",
    [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (36, 0), (0, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000), (0x80000024, 0x80000000)],
)
def test_a_wav_of_unknown_length_is_read_to_its_end(sound, sizes):
    wave = read(with_sizes(coded(sound, "wav"), *sizes))
    np.testing.assert_allclose(wave, sound, atol=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW"])
def test_so_is_one_of_other_samples_and_one_of_big_endian(sound, subtype):
    data = coded(sound, "wav", subtype=subtype)
    np.testing.assert_array_equal(read(with_sizes(data, 0, 0)), read(data))
    big = coded(sound, "wav", endian="BIG")
    assert big[:4] == b"RIFX"
    np.testing.assert_array_equal(read(with_sizes(big, 0, 0)), read(big))


def test_an_empty_wav_with_chunks_behind_its_data_is_empty():
    data = coded(np.zeros(0), "wav") + b"LIST" + struct.pack("<I", 3000) + bytes(3000)
    assert len(read(data)) == 0


class Sparse(io.RawIOBase):
    """`data`, then zeros up to `size` bytes."""

    def __init__(self, data, size):
        self._data, self._size, self._at = data, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer):
        count = max(0, min(len(buffer), self._size - self._at))
        part = self._data[self._at : self._at + count]
        buffer[:count] = part + bytes(count - len(part))
        self._at += count
        return count


def test_a_wav_whose_size_has_wrapped_round_is_read_whole(sound):
    true_bytes = 2**32 + 2 * len(sound)
    header = with_sizes(coded(sound, "wav"), true_bytes + 36 & 0xFFFFFFFF, true_bytes & 0xFFFFFFFF)
    with AudioReader(io.BufferedReader(Sparse(header, 44 + true_bytes))) as audio:
        assert audio.length_samples == true_bytes // 2
        assert audio.is_length_exact
        np.testing.assert_allclose(next(audio.blocks(len(sound)))[0], sound, atol=1e-4)


def test_bytes_behind_the_sound_that_are_no_chunks_are_not_left_out_in_silence(sound):
    data = with_sizes(coded(sound, "wav"), 36 + 40000, 40000)
    with pytest.raises(AudioError, match="24000 bytes after the end of its audio"):
        read(data)
    padded = coded(sound, "wav") + bytes(100_000)
    assert len(read(padded)) == len(sound)
    tagged = coded(sound, "wav") + b"TAG" + b"x" * 125
    assert len(read(tagged)) == len(sound)


def test_a_flac_of_unknown_length_is_read_whole_and_from_anywhere(sound):
    data = without_length(coded(sound, "flac"))
    np.testing.assert_allclose(read(data), sound, atol=1e-4)
    for start in (0, 5000, 31000):
        with AudioReader(io.BytesIO(data)) as audio:
            assert audio.length_samples == len(sound)
            (excerpt,) = audio.excerpt(3000, start_samples=start, length_samples=900)
            np.testing.assert_allclose(excerpt[0], sound[start : start + 900], atol=1e-4)


@pytest.mark.parametrize(("levels", "share"), [([1e-3, 1e-3, 1, 1, 1], 4.37), ([1, 1, 1, 1, 1e-3], 0.52)])
def test_an_mp3_that_does_not_say_its_length_is_read_whole(sound, levels, share):
    """libsndfile guesses it from the first frame, of these `share` times what it is."""
    wave = np.tile(sound, 5) * np.repeat(levels, len(sound))
    data = coded(wave.astype(np.float32), "mp3", bitrate_mode="VARIABLE")
    bare = without_tag(data)
    with soundfile.SoundFile(io.BytesIO(bare)) as believed:
        assert believed.frames == pytest.approx(share * len(wave), rel=0.05), "else there is nothing to mend"
    with AudioReader(io.BytesIO(bare)) as audio:
        assert audio.length_samples == pytest.approx(len(wave), abs=2500)
    back = read(bare)
    assert len(back) == pytest.approx(len(wave), abs=2500)
    assert np.abs(back[-20000:]).max() > 0.1 * levels[-1]
    tagged = b"ID3\x03\0\0\0\0\x0f\x76" + bytes(2038) + bare
    assert len(read(tagged)) == len(read(bare))


def test_an_mp3_cut_within_its_last_frame_is_refused(sound):
    with pytest.raises(AudioError, match="last frame"):
        read(without_tag(coded(sound, "mp3"))[:-20])


def test_training_counts_the_samples_that_come_and_refuses_what_is_cut(tmp_path, sound):
    (tmp_path / "piped.flac").write_bytes(without_length(coded(sound, "flac")))
    config = DataConfig(train=[str(tmp_path)], segment_seconds=0.5)
    assert Segments(config, RATE_HZ, seed=0).hours == pytest.approx(len(sound) / RATE_HZ / 3600)
    (tmp_path / "cut.wav").write_bytes(coded(sound, "wav")[:30000])
    with pytest.raises(TrainingError, match=r"cut\.wav: is cut"):
        Segments(config, RATE_HZ, seed=0)
