"""One door to the sessions, and classes that say what an engine can do."""

import re
from pathlib import Path

import numpy as np
import pytest

import vqcodec
from vqcodec.errors import ConfigError
from vqcodec.models.engine import ClipEngine, StreamEngine
from vqcodec.sessions.clip_session import ClipDecoder, ClipEncoder
from vqcodec.sessions.new import context_of, new_decoder, new_encoder, tags_of
from vqcodec.sessions.stream import DecodeSession, EncodeSession


class Whole(ClipEngine):
    """Codes each sample as itself, in chunks of two frames."""

    model_name, sample_rate_hz, hop_length, total_codebooks, codebook_size = "whole", 100, 1, 1, 2
    fingerprint, entropy, chunk_frames = None, None, 2

    def encode_clip(self, wave, num_codebooks):
        return (wave > 0)[:, None].astype(np.int64), None

    def decode_clip(self, codes, scales):
        return codes[:, 0].astype(np.float32)


class Both(Whole, StreamEngine):
    delay_samples, encoder_shapes, decoder_shapes = 0, [], []

    def encode_block(self, wave, num_codebooks, state=None):
        return np.zeros((len(wave), 1, wave.shape[1]), np.int64), state


def test_streams_have_sessions_of_streams(toy_codec):
    assert toy_codec.is_streaming
    assert toy_codec.is_causal
    assert isinstance(new_encoder(toy_codec, 2, batch=1), EncodeSession)
    assert isinstance(new_decoder(toy_codec, batch=1, tags={}, frames=None), DecodeSession)
    assert context_of(toy_codec, 1000).before == toy_codec.decoder_context_frames
    assert (context_of(toy_codec, 1000).after, context_of(toy_codec, 1000).step) == (0, 1)
    assert tags_of(new_encoder(toy_codec, 2, batch=1)) == {}


def test_whole_clips_have_sessions_of_clips():
    engine = Whole()
    assert not engine.is_streaming
    assert not engine.is_causal
    session = new_encoder(engine, 1, batch=1)
    assert isinstance(session, ClipEncoder)
    wave = np.array([[1, -1, 1]], np.float32)
    codes = np.concatenate((session.push(wave), session.flush()), axis=2)
    assert codes.tolist() == [[[1, 0, 1]]]
    decoder = new_decoder(engine, batch=1, tags={}, frames=3)
    assert isinstance(decoder, ClipDecoder)
    assert np.concatenate((decoder.push(codes), decoder.flush()), axis=1).tolist() == [[1, 0, 1]]
    assert (context_of(engine, 3).step, context_of(engine, 3).after) == (2, 1)
    with pytest.raises(ConfigError, match="whole codes whole clips"):
        new_encoder(engine, 1, batch=1, live=True)


def test_what_can_do_both_codes_files_as_clips_and_streams_as_streams():
    engine = Both()
    assert engine.is_streaming
    assert not engine.is_causal
    assert isinstance(new_encoder(engine, 1, batch=1), ClipEncoder)
    assert isinstance(new_encoder(engine, 1, batch=1, live=True), EncodeSession)


def test_nobody_else_asks_for_the_kind_of_an_engine():
    package = Path(vqcodec.__file__).parent
    own = {package / "sessions" / "new.py", package / "sessions" / "stream.py", package / "models" / "engine.py"}
    for path in {*package.rglob("*.py")} - own:
        assert not re.search(r"isinstance\([^)]*(Clip|Stream)Engine", path.read_text(encoding="utf-8")), path
