"""Live streams against whole files: the same codes, the same sound, whatever comes in which pieces."""

import io
import os
import threading
import time

import numpy as np
import pytest
import soundfile

from vqcodec.audio.wavstream import SampleFormat
from vqcodec.bitstream import VqcReader
from vqcodec.errors import AudioError, BitstreamError, ConfigError, ModelError, OutputError, TruncatedError
from vqcodec.files.convert import compress, decode_file
from vqcodec.files.live import decode_live, encode_live
from vqcodec.frames import clock
from vqcodec.sessions.depths import VariedEncoder
from vqcodec.sessions.stream import DecodeSession, EncodeSession
from vqcodec.system.pipes import Stop


class Chopped(io.RawIOBase):
    """A pipe that gives 1 to `most` bytes at a time."""

    def __init__(self, data, most):
        self._data, self._most, self._random = io.BytesIO(data), most, np.random.default_rng(0)

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size):
        return self._data.read(min(size, int(self._random.integers(1, self._most + 1))))


def wav_of(wave, rate_hz):
    """A WAV stream [C, T] of unknown length."""
    file = io.BytesIO()
    soundfile.write(file, wave.T, rate_hz, subtype="FLOAT", format="WAV")
    data = file.getvalue()
    at = data.index(b"data") + 4
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def encoded(wave, rate_hz, *, most=1 << 16, **options):
    file = io.BytesIO()
    encode_live(Chopped(wav_of(wave, rate_hz), most), file, **options)
    return file.getvalue()


def codes_of(data, entropy=None):
    reader = VqcReader(io.BytesIO(data))
    chunks = [chunk.codes for chunk in reader.chunks(entropy=entropy)]
    return np.concatenate([np.zeros((reader.header.channels, reader.header.num_codebooks, 0)), *chunks], axis=2)


def decoded(data, *, most=1 << 16, **options):
    """[C, T] integers of the live stream."""
    file = io.BytesIO()
    decode_live(Chopped(data, most), file, **options)
    return samples_of(file.getvalue())


def samples_of(data):
    channels = int.from_bytes(data[22:24], "little")
    return np.frombuffer(data[44:], "<i2").reshape(-1, channels).T.astype(int)


def offline(data, **options):
    """[C, T] integers of `decode_file`."""
    file = io.BytesIO()
    decode_file(io.BytesIO(data), file, **options)
    return samples_of(file.getvalue())


@pytest.mark.parametrize("rate_hz", [4000, 8000, 11025, 44100, 192000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_chopping_and_chunk_gives_the_codes_and_the_sound_of_the_whole_file(toy_codec, noise, rate_hz, channels):
    wave = noise(channels, rate_hz // 3 + 7)
    whole = codes_of(compress(wave, rate_hz, model=toy_codec))
    for chunk_ms, most in ((20, 4096), (50, 333), (100, 1 << 16), (20, 1 << 16)):
        data = encoded(wave, rate_hz, most=most, model=toy_codec, chunk_ms=chunk_ms)
        assert np.array_equal(codes_of(data), whole)
        expected = offline(data, model=toy_codec)
        assert expected.shape == wave.shape
        got = decoded(data, most=most, model=toy_codec)
        assert got.shape == wave.shape
        assert np.abs(got - expected).max() <= 1  # frames come in other blocks: float rounding


def test_the_small_chunks_of_a_recorded_stream_are_decoded_together(toy_codec, noise, monkeypatch):
    data = encoded(noise(1, 16000), 16000, model=toy_codec, chunk_ms=20)
    assert VqcReader(io.BytesIO(data)).scan().chunks == 50
    pushed, push = [], DecodeSession.push

    def spy(self, codes, *lost):
        pushed.append(codes.shape[2])
        return push(self, codes, *lost)

    monkeypatch.setattr(DecodeSession, "push", spy)
    offline(data, model=toy_codec)
    assert pushed == [50]


def test_gaps_between_small_chunks_sound_as_frames_that_are_lost_one_by_one(toy_codec, noise):
    """Every third chunk is damaged."""
    whole = encoded(noise(1, 8000), 8000, model=toy_codec, chunk_ms=20)
    reader, data, lost = VqcReader(io.BytesIO(whole)), bytearray(whole), []
    place = len(reader.header.to_bytes())
    for record in reader.records():
        if record.position % 3 == 1:
            data[place + record.head.head_bytes] ^= 0xFF
            lost.append(record.position)
        place += record.head.head_bytes + len(record.body) + 4
    codes, session, errors = codes_of(whole).astype(int), DecodeSession(toy_codec), []
    pieces = [session.push(None if frame in lost else codes[:, :, [frame]]) for frame in range(50)]
    wanted = np.concatenate([*pieces, session.flush()], axis=1)
    got = offline(bytes(data), model=toy_codec, on_damage=errors.append)
    assert len(errors) == len(lost) == 17
    assert got.shape == wanted.shape
    assert np.abs(got - np.clip(wanted * 32768, -32768, 32767)).max() <= 1


def test_the_bundled_model_says_the_same_live(codec, speech):
    data = encoded(speech[None, :40000], 16000, most=640)
    entropy_coded = encoded(speech[None, :40000], 16000, chunk_ms=1000)
    whole = compress(speech[:40000], 16000, model=codec)
    assert np.array_equal(codes_of(data), codes_of(whole, codec.entropy))
    assert np.array_equal(codes_of(entropy_coded, codec.entropy), codes_of(data))
    assert VqcReader(io.BytesIO(data)).scan().entropy_coded_chunks == 0
    assert VqcReader(io.BytesIO(entropy_coded)).scan().entropy_coded_chunks == 3
    assert np.abs(decoded(data) - offline(whole)).max() <= 1
    assert np.abs(decoded(entropy_coded) - offline(whole)).max() <= 1


@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("rate_hz", [8000, 11025, 48000])
def test_every_length_comes_back(toy_codec, noise, monkeypatch, rate_hz, at_hand):
    monkeypatch.setattr(
        "vqcodec.files.live.is_at_hand", lambda file: at_hand
    )  # False: each chunk is decoded as it comes
    frame = rate_hz // 50
    for samples in (0, 1, frame - 1, frame, frame + 1, 2 * frame, 5 * frame, 5 * frame + 1):
        data = encoded(noise(1, samples), rate_hz, model=toy_codec, chunk_ms=20)
        assert decoded(data, model=toy_codec).shape == (1, samples)
        assert offline(data, model=toy_codec).shape == (1, samples)


def test_another_rate_fewer_codebooks_and_raw_samples_come_out(toy_codec, noise):
    data = encoded(noise(2, 8000), 8000, model=toy_codec)
    expected = offline(data, model=toy_codec, rate_hz=11025, num_codebooks=1)
    raw = io.BytesIO()
    decode_live(io.BytesIO(data), raw, model=toy_codec, rate_hz=11025, num_codebooks=1, raw=True)
    got = np.frombuffer(raw.getvalue(), "<i2").reshape(-1, 2).T
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1


def test_a_file_of_known_length_is_decoded_live_too(toy_codec, noise):
    data = compress(noise(1, 9001), 8000, model=toy_codec)
    assert np.abs(decoded(data, model=toy_codec) - offline(data, model=toy_codec)).max() <= 1


def test_raw_input_is_the_samples_of_a_wav(toy_codec, noise):
    samples = (noise(2, 4000) * 32768).astype("<i2")
    raw, file = io.BytesIO(samples.T.tobytes()), io.BytesIO()
    encode_live(raw, file, model=toy_codec, raw=SampleFormat(16000, 2))
    assert np.array_equal(
        codes_of(file.getvalue()), codes_of(compress(samples / np.float32(32768), 16000, model=toy_codec))
    )


@pytest.mark.parametrize(("chunk_ms", "frames"), [(20, 1), (39, 1), (40, 2), (80, 4), (1000, 50)])
def test_a_chunk_has_the_whole_frames_of_its_milliseconds(toy_codec, noise, chunk_ms, frames):
    reader = VqcReader(io.BytesIO(encoded(noise(1, 80 * 160), 8000, model=toy_codec, chunk_ms=chunk_ms)))
    assert next(reader.chunks()).codes.shape[2] == frames


def test_chunks_that_hold_no_frame_or_too_many_are_refused(toy_codec, noise):
    for chunk_ms in (1, 19, 65536 * 20):
        with pytest.raises(ConfigError, match=f"chunks of {chunk_ms} ms are not in 20..1310700 ms"):
            encoded(noise(1, 100), 8000, model=toy_codec, chunk_ms=chunk_ms)


def test_all_that_is_whole_is_written_before_the_error_of_a_cut(toy_codec, noise):
    data = encoded(noise(1, 8000), 8000, model=toy_codec, chunk_ms=20)
    expected = offline(data, model=toy_codec)
    chunk_bytes = (len(data) - 16) // 50
    for kept in (1, 20, 49):
        file = io.BytesIO()
        with pytest.raises(TruncatedError, match=f"^standard input: .*after {clock(kept / 50)}"):
            decode_live(io.BytesIO(data[: 16 + kept * chunk_bytes + 5]), file, model=toy_codec)
        got = samples_of(file.getvalue())
        assert got.shape == (1, kept * 160)
        settled = kept * 160 - toy_codec.delay_samples  # the next frame overlaps what comes after
        assert np.abs(got - expected[:, : kept * 160])[:, :settled].max() <= 1


def test_damage_is_concealed_as_in_a_file(toy_codec, noise):
    data = bytearray(encoded(noise(1, 8000), 8000, model=toy_codec, chunk_ms=40))
    data[len(data) // 2] ^= 255
    live, whole = [], []
    got = decoded(bytes(data), most=50, model=toy_codec, on_damage=live.append)
    assert np.abs(got - offline(bytes(data), model=toy_codec, on_damage=whole.append)).max() <= 1
    assert list(map(str, live)) == [str(error).removeprefix("standard input: ") for error in whole]
    with pytest.raises(BitstreamError, match="is damaged from"):
        decoded(bytes(data), model=toy_codec)
    cut = []
    assert decoded(bytes(data[:-20]), model=toy_codec, on_damage=cut.append).shape[1] > 7000
    assert isinstance(cut[-1], TruncatedError)


def test_a_path_is_written_as_it_comes_and_complete_at_the_end(tmp_path, toy_codec, noise):
    (tmp_path / "in.wav").write_bytes(wav_of(noise(1, 4001), 8000))
    summary = encode_live(tmp_path / "in.wav", tmp_path / "a.vqc", model=toy_codec)
    assert summary.file_bytes == (tmp_path / "a.vqc").stat().st_size
    assert summary.duration_seconds == 4001 / 8000
    assert decode_live(tmp_path / "a.vqc", tmp_path / "a.wav", model=toy_codec).duration_seconds == 4001 / 8000
    assert (tmp_path / "a.wav").read_bytes()[40:44] == (2 * 4001).to_bytes(4, "little")
    with pytest.raises(OutputError, match="exists already"):
        decode_live(tmp_path / "a.vqc", tmp_path / "a.wav", model=toy_codec)
    with pytest.raises(AudioError, match="a live stream is WAV"):
        decode_live(tmp_path / "a.vqc", tmp_path / "a.flac", model=toy_codec)
    with pytest.raises(AudioError, match="cannot read"):
        encode_live(tmp_path / "none.wav", tmp_path / "b.vqc", model=toy_codec)


def test_another_model_is_refused_by_name(toy_codec, toy_weights, noise):
    data = encoded(noise(1, 800), 8000, model=toy_codec)
    with pytest.raises(ModelError, match="^standard input: written by a model that is not bundled"):
        decoded(data)
    assert decoded(data, model=toy_weights).shape == (1, 800)


def test_ready_is_told_before_the_first_byte_is_read(toy_codec):
    read, said = [], []

    class Source(io.RawIOBase):
        def read(self, size):
            read.append(size)
            return b""

    with pytest.raises(AudioError, match="empty"):
        encode_live(Source(), io.BytesIO(), model=toy_codec, on_ready=lambda: said.append(list(read)))
    assert said == [[]]


def test_stop_ends_a_stream_that_waits_for_more(toy_codec, noise):
    stop, end = Stop(), os.pipe()
    file, wave = io.BytesIO(), noise(1, 1000)
    with open(end[0], "rb", buffering=0) as source, open(end[1], "wb", buffering=0) as sound:
        thread = threading.Thread(target=encode_live, args=(source, file), kwargs={"model": toy_codec, "stop": stop})
        thread.start()
        sound.write(wav_of(wave, 8000))
        while len(file.getvalue()) < 17:  # the first chunk
            time.sleep(0.01)
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()
    stop.close()
    assert decoded(file.getvalue(), model=toy_codec).shape == (1, 1000)


def test_grace_lets_what_was_sent_arrive(toy_codec):
    stop, end = Stop(grace_seconds=30.0), os.pipe()
    stop.set()
    with open(end[0], "rb", buffering=0) as source:
        os.write(end[1], b"late")
        assert stop.wait_for(source)
        os.close(end[1])
    stop.close()
    at_once, end = Stop(), os.pipe()
    at_once.set()
    with open(end[0], "rb", buffering=0) as source:
        os.write(end[1], b"late")
        assert not at_once.wait_for(source)
        os.close(end[1])
    at_once.close()


def test_a_wav_that_is_cut_or_joined_is_coded_and_told_of(toy_codec, noise):
    whole = io.BytesIO()
    soundfile.write(whole, noise(1, 1000)[0], 8000, format="WAV")
    data = whole.getvalue()
    for bad, samples, message in ((data[:-1000], 500, "1000 bytes of audio that"), (data + data, 1000, "joined to it")):
        file, taken = io.BytesIO(), io.BytesIO()
        with pytest.raises(AudioError, match=message):
            encode_live(Chopped(bad, 100), file, model=toy_codec)
        encode_live(Chopped(bad, 100), taken, model=toy_codec, on_truncated="take")
        assert file.getvalue() == taken.getvalue()
        assert decoded(file.getvalue(), model=toy_codec).shape == (1, samples)


@pytest.mark.parametrize(("channels", "options", "told"), [(1, {}, 0), (2, {}, 1), (2, {"mono": "mean"}, 0)])
def test_what_several_channels_cost_is_told_once_they_are_known(toy_codec, noise, channels, options, told):
    found = []
    encoded(
        noise(channels, 800),
        8000,
        model=toy_codec,
        num_codebooks=2,
        on_remark=lambda *one: found.append(one),
        **options,
    )
    assert len(found) == told
    for kind, text in found:
        assert kind == "several channels, each at the rate of one"
        assert text.startswith("standard input: 2 channels, each coded by itself: 2 x 0.4 = 0.8 kbps in all")


def test_a_live_stream_of_varied_depth_is_late_by_its_chunks_only(toy_codec, noise):
    wave = noise(1, 8000)
    wave[:, 2500:5000] *= 1e-3
    encoder = VariedEncoder(toy_codec, 8, num_codebooks=3, batch=1, block_frames=20)
    data = encoded(wave, 8000, model=toy_codec, chunk_ms=400, vbr=8)
    codes = codes_of(data)
    assert encoder.push(wave[:, :3199]).shape[2] == 0
    assert np.array_equal(encoder.push(wave[:, 3199:7000]), codes[:, :, :40])
    assert np.array_equal(np.concatenate((encoder.push(wave[:, 7000:]), encoder.flush()), axis=2), codes[:, :, 40:])
    depths = (codes[0] >= 0).sum(axis=0)
    for depth in range(1, 4):
        alone = EncodeSession(toy_codec, num_codebooks=depth).push(wave)[0]
        assert np.array_equal(codes[0, :depth, depths == depth], alone[:, depths == depth].T)
    assert depths[:15].mean() > depths[18:30].mean() >= 1
    assert [record.frames for record in VqcReader(io.BytesIO(data)).records()] == [20, 20, 10]
    assert np.abs(decoded(data, model=toy_codec) - offline(data, model=toy_codec)).max() <= 1


def test_depths_that_do_not_fit_a_live_stream_are_refused(toy_codec, tmp_path):
    for options, message in (
        ({"vbr": 3, "chunk_ms": 380}, "in chunks of 380 ms; give 400 ms or more"),
        ({"vbr": 3, "chunk_ms": 400, "dtx": True}, "give one of them"),
        ({"vbr": 11, "chunk_ms": 400}, "vbr 11 is not in 0..10"),
        ({"abr": True, "kbps": 0.5, "chunk_ms": 400}, "live stream"),
    ):
        with pytest.raises(ConfigError, match=message):
            encode_live(io.BytesIO(wav_of(np.zeros((1, 9)), 8000)), tmp_path / "a.vqc", model=toy_codec, **options)
        assert not list(tmp_path.iterdir())
