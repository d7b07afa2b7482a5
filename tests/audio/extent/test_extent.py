"""Files whose headers are wrong about their length: read whole, or refused; what is fine is left alone."""

import contextlib
import io
import re
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from vqcodec.audio.extent import find_fault, whole
from vqcodec.audio.extent.ogg import page_checksum
from vqcodec.audio.reader import AudioReader
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
    **{
        kind: {"format": kind.upper()}
        for kind in ("svx", "nist", "avr", "mpc2k", "mat4", "mat5", "voc", "wavex", "sds")
    },
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
    with soundfile.SoundFile(io.BytesIO(data)) as opened:
        assert find_fault(file, opened.extra_info, opened.frames) is None
    assert len(read(data)) == pytest.approx(len(sound), abs=2500 if kind == "mp3" else 0)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_is_refused_or_taken_as_far_as_it_goes(sound, kind, share):
    data = coded(sound, kind)
    cut = data[: int(share * len(data))]
    with pytest.raises(AudioError, match=r"cut|damaged") as caught:
        read(cut)
    assert "--on-truncated take" in str(caught.value) or kind in ("ogg", "opus")
    if kind not in ("flac", "ogg", "opus", "sds"):  # whose decoders refuse some cuts themselves
        taken = read(cut, on_truncated="take")
        assert share * len(sound) - 3000 < len(taken) <= share * len(sound) + 1200
        if kind not in ("mp3",):
            np.testing.assert_allclose(taken, sound[: len(taken)], atol=1e-4)


@pytest.mark.parametrize("kind", ["flac", "ogg", "opus"])
@pytest.mark.parametrize("seconds", [1, 5])
@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_a_cut_flac_or_ogg_gives_what_lies_in_front_of_the_cut(speech, kind, seconds, share):
    """Also where all of its sound lies in the one page of Ogg that is cut."""
    data = coded(speech[: seconds * RATE_HZ], kind)
    expected = read(data)
    cut = data[: int(share * len(data))]
    with pytest.raises(AudioError, match=r"cut|damaged"):
        read(cut)
    taken = read(cut, on_truncated="take")
    assert (share - 0.35) * len(expected) < len(taken) < len(expected)
    if kind == "flac":
        np.testing.assert_array_equal(taken, expected[: len(taken)])
    else:
        inner = slice(1100, len(taken) - 700)  # a decoder that begins or ends elsewhere differs there
        np.testing.assert_allclose(taken[inner], expected[inner], atol=0.002)


@pytest.mark.parametrize("block_samples", [700, 4096, 1 << 18])
@pytest.mark.parametrize("kind", ["flac", "flac-of-unknown-length", "mp3"])
def test_what_lies_in_front_of_damage_is_taken_whatever_the_size_of_blocks(speech, kind, block_samples):
    data = coded(speech, kind.partition("-")[0])
    data = without_length(data) if "unknown" in kind else data
    expected = read(data)
    at = len(data) // 2
    damaged = data[:at] + bytes(3000) + data[at + 3000 :]
    with AudioReader(io.BytesIO(damaged), on_truncated="take") as audio:
        taken = np.concatenate([block[0] for block in audio.blocks(block_samples)])
    assert 0.4 * len(expected) < len(taken) < len(expected)
    common = len(taken) - 2 * 1152
    np.testing.assert_allclose(taken[:common], expected[:common], atol=1e-6)


def test_a_file_of_which_nothing_can_be_read_is_refused_also_where_what_is_there_is_taken(speech):
    data = coded(speech, "flac")
    with pytest.raises(AudioError, match="unreadable after 0:00:00.00.*the file is damaged"):
        read(data[:1000], on_truncated="take")


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


def pages_of(ogg):
    """Where the pages of a file begin."""
    return [found.start() for found in re.finditer(rb"OggS\0", ogg)]


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_an_ogg_with_a_damaged_or_a_missing_page_is_refused(sound, kind):
    """libogg passes over both."""
    wave = np.tile(sound, 10)
    data = coded(wave, kind)
    *_, one, other = pages_of(data)[:-1]
    damaged = data[: other - 100] + bytes([data[other - 100] ^ 1]) + data[other - 99 :]
    with pytest.raises(AudioError, match=rf"the page at byte {one} has a wrong checksum, and would be left out"):
        read(damaged)
    assert len(sound) < len(read(damaged, on_truncated="take")) < len(wave)
    with pytest.raises(AudioError, match=rf"pages are missing before byte {one}"):
        read(data[:one] + data[other:])


def test_the_checksum_of_a_page_is_that_of_libogg(sound):
    data = coded(sound, "ogg")
    places = [*pages_of(data), len(data)]
    for start, end in pairwise(places):
        page = data[start:end]
        assert page_checksum(page) == page[22:26]
        assert page_checksum(page[:-1] + bytes([page[-1] ^ 1])) != page[22:26]


def with_samples(flac, samples):
    """A FLAC whose header speaks of another number of samples."""
    field = int.from_bytes(flac[18:26], "big") >> 36 << 36 | samples
    return flac[:18] + field.to_bytes(8, "big") + flac[26:]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("said", [1, 4096, 20000, 28672, 31999])
def test_a_flac_that_goes_on_behind_its_header_is_refused(sound, said, channels):
    wave = np.stack([sound] * channels, axis=1)
    data = coded(wave, "flac")
    with pytest.raises(
        AudioError, match=rf"goes on to sample \d+, where its header says {said}; the others would be left"
    ):
        read(with_samples(data, said))
    assert len(read(with_samples(data, said), on_truncated="take")) == said


@pytest.mark.parametrize("compression", [0.0, 1.0])
@pytest.mark.parametrize("samples", [1, 191, 4095, 4096, 4097, 16384, 32000])
def test_a_whole_flac_has_no_fault(sound, samples, compression):
    data = coded(sound[:samples], "flac", compression_level=compression)
    assert find_fault(io.BytesIO(data)) is None
    assert len(read(data + b"TAG" + bytes(125))) == samples


def test_an_au_that_goes_on_behind_its_header_is_refused(sound):
    data = coded(sound, "au")
    with pytest.raises(AudioError, match="has 24000 bytes after the end of its audio"):
        read(data[:8] + struct.pack(">I", 40000) + data[12:])


def test_an_au_of_unknown_length_is_read_to_its_end(sound):
    data = coded(sound, "au")
    np.testing.assert_allclose(read(data[:8] + b"\xff" * 4 + data[12:]), sound, atol=1e-4)


@pytest.mark.parametrize(
    ("said", "message"), [(b"16000", "has 32000 bytes after"), (b"48000", "is cut: by its header")]
)
def test_a_sphere_file_of_another_length_is_refused(sound, said, message):
    """NIST SPHERE, in which many corpora of speech come."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE_HZ, format="NIST")
    data = file.getvalue()
    assert len(read(data)) == len(sound)
    with pytest.raises(AudioError, match=message):
        read(data.replace(b"sample_count -i 32000", b"sample_count -i " + said))
    with pytest.raises(AudioError, match="is cut: by its header it has 64000 bytes of audio"):
        read(data[:40000])


def test_an_aiff_with_less_sound_than_it_says_is_refused(sound):
    data = coded(sound, "aiff")
    at = data.index(b"SSND") + 8
    with pytest.raises(AudioError, match="is cut: by its header it has 64000 bytes of audio, of which 25600 are there"):
        read(data[:at] + (38400).to_bytes(4, "big") + data[at + 4 :])


def test_an_mp3_whose_first_frame_has_other_channels_is_refused(sound):
    """libmpg123 stops where they change."""
    data = coded(sound, "mp3")
    with pytest.raises(AudioError, match="ends after"):
        read(data[:3] + b"\x04" + data[4:])


def test_what_a_damaged_header_makes_libsndfile_do_is_not_printed(sound, capfd):
    data = bytearray(coded(sound, "aiff"))
    data[42:46] = b"\xff\xff\xff\xf0"
    for value in range(0, 256, 15):
        data[16] = value
        with contextlib.suppress(AudioError):
            read(bytes(data))
    assert capfd.readouterr().err == ""


NAMED = {
    "au": {"format": "AU"},
    "adpcm in au": {"format": "AU", "subtype": "G723_24"},
    "nist": {"format": "NIST"},
    "w64": {"format": "W64"},
    "gsm in w64": {"format": "W64", "subtype": "GSM610"},
    "caf": {"format": "CAF"},
    "alac in caf": {"format": "CAF", "subtype": "ALAC_16"},
    "svx": {"format": "SVX"},
    "voc": {"format": "VOC"},
    "wve": {"format": "WVE"},
}


@pytest.fixture(params=NAMED)
def named(request, sound):
    """A file of a format whose header names where its sound ends."""
    file = io.BytesIO()
    soundfile.write(file, sound, 8000 if request.param == "wve" else RATE_HZ, **NAMED[request.param])
    return file.getvalue()


@pytest.mark.parametrize("behind", [bytes(100), b"TAG" + bytes(125), np.arange(4000, dtype="<i2").tobytes()])
def test_what_lies_behind_the_named_end_is_never_sound(named, behind):
    np.testing.assert_array_equal(read(named + behind, on_truncated="take"), read(named))


def test_much_behind_the_named_end_or_another_file_is_refused(named):
    with pytest.raises(AudioError, match=r"has [45]\d\d\d bytes after the end of its audio"):
        read(named + bytes(np.full(5000, 200, np.uint8)))
    with pytest.raises(AudioError, match=f"joined to it at byte {len(named)}"):
        read(named + named)


@pytest.mark.parametrize("missing", [2, 3000])
def test_less_than_a_header_names_is_refused_also_by_two_bytes(named, missing):
    with pytest.raises(AudioError, match="is cut: by its header it has"):
        read(named[:-missing])


def test_a_w64_may_have_chunks_behind_its_sound(sound):
    data = coded(sound, "w64")
    guid = b"junk" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
    behind = guid + struct.pack("<Q", 24 + 9000) + bytes(np.full(9000, 7, np.uint8))
    np.testing.assert_array_equal(read(data + behind), read(data))


@pytest.mark.parametrize("length", [-1, 0x7FFFFFFF])
def test_a_caf_may_leave_its_length_open(sound, length):
    file = io.BytesIO()
    soundfile.write(file, sound, RATE_HZ, format="CAF")
    data = file.getvalue()
    at = data.index(b"data") + 4
    open_ended = data[:at] + struct.pack(">q", length) + data[at + 8 :]
    if length < 0:
        np.testing.assert_array_equal(read(open_ended), read(data))
    else:
        with pytest.raises(AudioError, match="is cut"):
            read(open_ended)


@pytest.mark.parametrize("kind", ["avr", "mpc2k", "mat5"])
def test_more_than_a_format_counts_is_refused(sound, kind):
    data = coded(sound, kind)
    with pytest.raises(AudioError, match=r"has \d+ samples where its header says 32000"):
        read(data + bytes(np.full(1000, 7, np.uint8)))


@pytest.mark.parametrize("kind", ["PAF", "PVF", "IRCAM", "XI", "MAT4"])
def test_formats_that_name_no_length_are_still_searched_for_another_file(sound, kind):
    file = io.BytesIO()
    soundfile.write(file, sound, RATE_HZ, format=kind)
    assert len(read(file.getvalue())) == len(sound)
    with pytest.raises(AudioError, match=f"joined to it at byte {len(file.getvalue())}"):
        read(file.getvalue() * 2)


UNMEASURED = {
    "paf": {"format": "PAF", "subtype": "PCM_16", "endian": "LITTLE"},
    "paf of 24 bits": {"format": "PAF", "subtype": "PCM_24"},
    "pvf": {"format": "PVF", "subtype": "PCM_32"},
    "ircam": {"format": "IRCAM", "subtype": "FLOAT"},
    "ircam of another machine": {"format": "IRCAM", "subtype": "PCM_16", "endian": "BIG"},
    "xi": {"format": "XI", "subtype": "DPCM_16"},
}


@pytest.mark.parametrize("kind", UNMEASURED)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_format_without_a_length_is_what_is_there_but_for_a_sample_that_is_not_whole(sound, kind, channels):
    if kind == "xi" and channels > 1:
        return
    file = io.BytesIO()
    count = 1000 if "24" in kind else 1001  # in whole blocks of 10, of which libsndfile reads no part at the end
    soundfile.write(file, np.stack([sound[:count]] * channels, axis=1), RATE_HZ, **UNMEASURED[kind])
    data = file.getvalue()
    whole = read(data)
    assert len(whole) == count
    frame_bytes = channels * {"paf of 24 bits": 32, "pvf": 4, "ircam": 4}.get(kind, 2)
    if "24" not in kind:
        np.testing.assert_array_equal(read(data[:-frame_bytes]), whole[:1000])
    for missing in range(1, frame_bytes):
        with pytest.raises(AudioError, match=f"is cut: its last sample has {frame_bytes - missing} of {frame_bytes} b"):
            read(data[:-missing])
    assert len(read(data[:-1], on_truncated="take")) in (990, 1000)


def an_instrument(sound, sizes):
    """An XI whose header counts the bytes of its samples, as trackers write it."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE_HZ, format="XI", subtype="DPCM_16")
    data = file.getvalue()
    heads = b"".join(struct.pack("<I", size) + data[302:338] for size in sizes)
    return data[:296] + struct.pack("<H", len(sizes)) + heads + data[338:]


def test_an_xi_that_counts_its_bytes_has_them_and_no_more(sound):
    whole = an_instrument(sound, [2 * len(sound)])
    assert len(read(whole)) == len(sound)
    with pytest.raises(AudioError, match="is cut: by its header it has 64000 bytes of audio, of which 32000 are there"):
        read(whole[:-32000])
    with pytest.raises(AudioError, match="has 5000 bytes after the end of its audio"):
        read(whole + bytes(np.full(5000, 7, np.uint8)))
    with pytest.raises(AudioError, match="has 2 samples of an instrument, which would be read as one sound"):
        read(an_instrument(sound, [32000, 32000]))


@pytest.mark.parametrize("kind", UNMEASURED)
def test_any_header_of_a_format_without_a_length_gives_sound_or_our_own_error(sound, kind):
    file, random = io.BytesIO(), np.random.default_rng(0)
    soundfile.write(file, sound[:500], RATE_HZ, **UNMEASURED[kind])
    for _ in range(150):
        data = bytearray(file.getvalue())
        at = random.integers(4, 30) if kind != "xi" else random.integers(290, 340)
        data[at : at + 4] = random.choice([b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"9999", bytes(4)])
        cut = data[: random.integers(len(data) // 2, len(data))]
        with contextlib.suppress(AudioError):
            assert len(read(bytes(cut))) <= 10_000


@pytest.mark.parametrize("kind", NAMED)
def test_any_header_of_these_formats_gives_sound_or_our_own_error(sound, kind):
    """Also with claims beyond what a file can seek to, which W64 and CAF have room for."""
    file, random = io.BytesIO(), np.random.default_rng(0)
    soundfile.write(file, sound[:500], 8000 if kind == "wve" else RATE_HZ, **NAMED[kind])
    for _ in range(150):
        data = bytearray(file.getvalue())
        at = random.integers(0, 120)
        data[at : at + 8] = random.choice([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xff" * 7 + b"\x7f", bytes(8)])
        with contextlib.suppress(AudioError):
            assert len(read(bytes(data), on_truncated=random.choice(["refuse", "take"]))) <= 10_000
