"""Sound in containers that libsndfile does not read: decoded by PyAV, cut ones told, without PyAV a remedy."""

import io
import sys

import numpy as np
import pytest

from vqcodec.audio.containers import is_container
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError

av = pytest.importorskip("av")

RATE_HZ = 16000
KINDS = {
    "m4a": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "flac"),
    "ac3": ("ac3", "ac3"),
}


def coded(wave, kind, *, streams=1, video=False, metadata=None):
    """The bytes of `wave` [T] at 48 kHz in a container."""
    container_format, codec = KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        container.metadata.update(metadata or {})
        # All streams before the first packet, with which the header is written.
        sounds = [container.add_stream(codec, rate=48000, layout="mono") for _ in range(streams)]
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 16, 16, "yuv420p"
            for _ in range(3):
                container.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(picture.encode(None))
        for stream in sounds:
            container.mux(encoded(stream, wave))
    return file.getvalue()


def encoded(stream, wave):
    frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
    frame.sample_rate = RATE_HZ
    context = stream.codec_context
    resampler, queue = av.AudioResampler(format=context.format, layout="mono", rate=48000), av.AudioFifo()
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        queue.write(part)
    packets = []
    while (part := queue.read(context.frame_size or 1024)) is not None:
        packets += stream.encode(part)
    rest = queue.read(0)
    return [*packets, *(stream.encode(rest) if rest is not None else []), *stream.encode(None)]


def read(data, **options):
    """Samples [T] and what the reader knows."""
    with AudioReader(io.BytesIO(data), name="in", **options) as audio:
        blocks = [block[0] for block in audio.blocks(10_000)]
        return np.concatenate([np.zeros(0, np.float32), *blocks]), audio


@pytest.mark.parametrize("kind", KINDS)
def test_sound_in_a_container_is_read_whole(speech, kind):
    data = coded(speech, kind)
    assert is_container(data[:16])
    wave, audio = read(data)
    assert (audio.rate_hz, audio.channels) == (48000, 1)
    assert 0 <= len(wave) - 3 * len(speech) < 4096  # codecs fill their last frame
    power = [np.square(part).mean() for part in (wave[: 3 * 40000], speech[:40000])]
    assert power[0] == pytest.approx(power[1], rel=0.1)


def test_tags_come_along(speech):
    _, audio = read(coded(speech, "mka", metadata={"title": "Moon", "artist": "Ada"}))
    assert (audio.tags["title"], audio.tags["artist"]) == ("Moon", "Ada")


def test_a_pipe_is_read_as_well(speech):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    with AudioReader(Pipe(coded(speech, "webm"))) as audio:
        assert sum(block.shape[1] for block in audio.blocks(10_000)) >= 3 * len(speech)


@pytest.mark.parametrize("kind", ["webm", "mka"])
def test_a_cut_container_is_refused_or_taken_as_far_as_it_goes(speech, kind):
    data = coded(speech, kind)
    cut = data[: len(data) // 2]
    with pytest.raises(AudioError, match=r"in: (is cut: 0:00:0\d.\d\d of 0:00:05.1\d are there|unreadable after)"):
        read(cut)
    assert 0.2 * 3 * len(speech) < len(read(cut, on_truncated="take")[0]) < 0.8 * 3 * len(speech)


def test_a_container_without_its_index_is_refused(speech):
    data = coded(speech, "m4a")
    with pytest.raises(AudioError, match="in: no sound that PyAV decodes"):
        read(data[: len(data) // 2])


def test_which_of_several_streams_is_meant_nobody_guesses(speech):
    with pytest.raises(AudioError, match="has 2 streams of sound; extract the one that is meant"):
        read(coded(speech[:16000], "mka", streams=2))
    with pytest.raises(AudioError, match="has 0 streams of sound; give a file with sound"):
        read(coded(speech[:16000], "mka", streams=0, video=True))


def test_the_sound_of_a_film_is_read(speech):
    assert len(read(coded(speech, "mka", video=True))[0]) >= 3 * len(speech)


def test_without_pyav_the_remedy_is_told(speech, monkeypatch):
    data = coded(speech[:16000], "m4a")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        AudioError, match=r"in: sound that libsndfile does not read; convert it to FLAC, or pip install"
    ):
        read(data)


@pytest.mark.parametrize("head", [b"", b"RIFF", b"OggS", b"plain text, no sound", b"\0" * 16])
def test_other_files_are_no_containers(head):
    assert not is_container(head)
