import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.audio.reader import AudioReader
from vqcodec.bitstream import VqcReader
from vqcodec.errors import AudioError, BitstreamError, ConfigError, DamagedError, ModelError, OutputError
from vqcodec.files.convert import compress, decode_file, decompress, encode_file
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights, save_weights


def write_wav(path, wave, rate_hz):
    soundfile.write(path, wave.T, rate_hz, subtype="PCM_16")
    return path


@pytest.mark.parametrize("rate_hz", [4000, 8000, 11025, 12345, 16000, 22050, 44100, 48000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_length_rate_and_channels_come_back(toy_codec, noise, rate_hz, channels):
    for samples in (0, 1, 2, 159, 160, 161, 1999):
        wave = noise(channels, samples)
        back, back_hz = decompress(compress(wave, rate_hz, model=toy_codec), model=toy_codec)
        assert (back.shape, back_hz) == (wave.shape, rate_hz)
        assert np.isfinite(back).all()


@pytest.fixture(scope="module")
def bare_codec(toy_config, tmp_path_factory):
    """The toy model without its blocks, which all keep the length: thousands of files take half the time."""
    names = ("encoder_stft_blocks", "encoder_blocks", "decoder_blocks", "decoder_stft_blocks")
    config = replace(toy_config, name="bare", total_codebooks=1, **dict.fromkeys(names, 0))
    path = tmp_path_factory.mktemp("bare") / "bare.safetensors"
    save_weights(config, Codec(config).state_dict(), path)
    return load_weights(path)


@pytest.mark.slow
@pytest.mark.parametrize(("rate_hz", "step"), [(8000, 1), (16000, 7), (22050, 7), (44100, 1), (48000, 7)])
def test_lengths_from_0_to_2000_come_back_exactly(bare_codec, noise, rate_hz, step):
    """Each at the model's rate and at one that is no multiple of it, every seventh at others.

    Channels are coded beside each other, and have no part in it: the test above has them, and blocks.
    """
    wave = noise(1, 2000)
    for samples in range(0, 2001, step):
        data = compress(wave[:, :samples], rate_hz, model=bare_codec)
        assert decompress(data, model=bare_codec)[0].shape == (1, samples)


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_that_are_the_same_are_coded_once_and_all_come_back(toy_codec, noise, tmp_path, channels):
    one = noise(1, 2000)
    same, almost = np.repeat(one, channels, axis=0), np.repeat(one, channels, axis=0)
    almost[-1, -1] += 2**-15
    alone, data = compress(one, 8000, model=toy_codec), compress(same, 8000, model=toy_codec)
    assert len(data) < len(alone) + 30, "a tag more"
    reader = VqcReader(io.BytesIO(data))
    assert (reader.header.channels, reader.decoded_channels) == (1, channels)
    back, _ = decompress(data, model=toy_codec)
    np.testing.assert_array_equal(back, np.repeat(decompress(alone, model=toy_codec)[0], channels, axis=0))
    encode_file(write_wav(tmp_path / "in.wav", same, 8000), tmp_path / "a.vqc", model=toy_codec)
    assert VqcReader(io.BytesIO((tmp_path / "a.vqc").read_bytes())).decoded_channels == channels
    assert decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", model=toy_codec).channels == channels
    assert soundfile.info(tmp_path / "a.wav").channels == channels
    wave, _ = soundfile.read(tmp_path / "a.wav", always_2d=True)
    assert (wave == wave[:, :1]).all()
    encode_file(write_wav(tmp_path / "in.wav", almost, 8000), tmp_path / "b.vqc", model=toy_codec)
    assert VqcReader(io.BytesIO((tmp_path / "b.vqc").read_bytes())).header.channels == channels


def test_channels_that_are_the_same_up_to_a_damage_are_an_error(toy_codec, noise, tmp_path):
    wave = np.repeat(noise(1, 40000), 2, axis=0)
    path = tmp_path / "in.wav"
    soundfile.write(path, wave.T, 8000, subtype="FLOAT")
    broken = bytearray(path.read_bytes())
    broken[-4:] = b"\xff\xff\xff\xff"  # NaN
    path.write_bytes(broken)
    with pytest.raises(AudioError, match="NaN"):
        encode_file(path, tmp_path / "a.vqc", model=toy_codec)
    assert not (tmp_path / "a.vqc").exists()


def test_a_file_goes_through_and_back(tmp_path, speech_path, speech):
    coded, back = tmp_path / "a.vqc", tmp_path / "a.wav"
    summary = encode_file(speech_path, coded, kbps=6)
    assert summary.file_bytes == coded.stat().st_size
    plain = vqcodec.load()
    plain.entropy = None
    fixed = encode_file(speech_path, tmp_path / "fixed.vqc", model=plain, kbps=6)
    assert fixed.kbps == pytest.approx(6, rel=0.03)
    assert summary.kbps < 0.97 * fixed.kbps
    assert decode_file(coded, back).duration_seconds == len(speech) / 16000
    decoded, rate_hz = soundfile.read(back, dtype="float32")
    assert (len(decoded), rate_hz) == (len(speech), 16000)
    error = np.square(decoded - speech).mean() / np.square(speech).mean()
    assert error < 0.6


def test_a_cut_file_is_encoded_when_asked_for(tmp_path, speech, toy_codec):
    whole, cut, coded = tmp_path / "whole.wav", tmp_path / "cut.wav", tmp_path / "cut.vqc"
    soundfile.write(whole, speech, 16000)
    cut.write_bytes(whole.read_bytes()[:16044])
    with pytest.raises(AudioError, match=r"cut\.wav: is cut: by its header .* of which 16000 are there"):
        encode_file(cut, coded, model=toy_codec)
    assert not coded.exists()
    assert encode_file(cut, coded, model=toy_codec, on_truncated="take").duration_seconds == 0.5


def test_files_and_waves_give_the_same_bytes(tmp_path, speech_path, speech):
    encode_file(speech_path, tmp_path / "a.vqc", num_codebooks=2)
    assert (tmp_path / "a.vqc").read_bytes() == compress(speech, 16000, num_codebooks=2)


def test_file_codes_are_the_codecs_codes(codec, speech):
    import torch

    chunks = VqcReader(io.BytesIO(compress(speech, 16000, model=codec))).chunks(entropy=codec.entropy)
    codes = np.concatenate([chunk.codes for chunk in chunks], axis=2)
    assert np.array_equal(codes, codec.encode(torch.from_numpy(speech)[None, None]).numpy())


def test_channels_are_separate_streams(codec, speech):
    other = speech[::-1].copy()
    both = VqcReader(io.BytesIO(compress(np.stack([speech, other]), 16000, model=codec, num_codebooks=3)))
    codes = np.concatenate([chunk.codes for chunk in both.chunks(entropy=codec.entropy)], axis=2)
    for channel, wave in enumerate((speech, other)):
        alone = VqcReader(io.BytesIO(compress(wave, 16000, model=codec, num_codebooks=3)))
        alone_codes = np.concatenate([chunk.codes for chunk in alone.chunks(entropy=codec.entropy)], axis=2)
        assert np.array_equal(codes[channel], alone_codes[0])


def test_fewer_codebooks_of_a_file_are_a_file_of_fewer(speech):
    codec = vqcodec.load(effort="fast")  # otherwise fewer are searched for themselves
    cut, _ = decompress(compress(speech, 16000, model=codec), model=codec, num_codebooks=3)
    few, _ = decompress(compress(speech, 16000, model=codec, num_codebooks=3), model=codec)
    assert np.abs(cut - few).max() < 1e-5


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100])
def test_an_excerpt_is_that_part_of_the_whole(tmp_path, codec, speech, rate_hz):
    from vqcodec.audio.resample import resample

    long = np.concatenate([speech, speech[::-1], speech])[None]
    source = write_wav(tmp_path / "long.wav", resample(long, 16000, rate_hz), rate_hz)
    encode_file(source, tmp_path / "long.vqc", model=codec, num_codebooks=4)
    decode_file(tmp_path / "long.vqc", tmp_path / "whole.wav", model=codec)
    whole, _ = soundfile.read(tmp_path / "whole.wav")
    for start, duration in ((0.0, 0.5), (1.234, 3.0), (7.0, 1.0), (15.0, 99.0), (3.3, 0.0)):
        decode_file(
            tmp_path / "long.vqc",
            tmp_path / "part.wav",
            model=codec,
            start_seconds=start,
            duration_seconds=duration,
            force=True,
        )
        part, part_hz = soundfile.read(tmp_path / "part.wav")
        assert part_hz == rate_hz
        first = round(start * rate_hz)
        wanted = whole[first : first + round(duration * rate_hz)]
        assert len(part) == len(wanted)
        # 16-bit files, and sums in another order.
        assert len(part) == 0 or np.abs(part - wanted).max() <= 2 / 32768


def test_another_rate_on_request(tmp_path, speech_path, speech):
    encode_file(speech_path, tmp_path / "a.vqc", num_codebooks=1)
    decode_file(tmp_path / "a.vqc", tmp_path / "a.flac", rate_hz=44100)
    info = soundfile.info(tmp_path / "a.flac")
    assert (info.samplerate, info.frames) == (44100, -(-len(speech) * 44100 // 16000))


def test_pipes_hold_the_same_bytes_as_files(tmp_path, speech_path):
    encode_file(speech_path, tmp_path / "a.vqc", num_codebooks=2)
    coded = io.BytesIO()
    encode_file(io.BytesIO(speech_path.read_bytes()), coded, num_codebooks=2)
    assert coded.getvalue() == (tmp_path / "a.vqc").read_bytes()
    wave = io.BytesIO()
    decode_file(io.BytesIO(coded.getvalue()), wave)
    decode_file(tmp_path / "a.vqc", tmp_path / "a.wav")
    assert wave.getvalue() == (tmp_path / "a.wav").read_bytes()


def test_an_mp3_whose_length_is_uncertain_is_coded_as_a_stream(tmp_path, speech):
    source = tmp_path / "a.mp3"
    soundfile.write(source, np.stack([speech, speech], axis=1)[::2], 8000, format="MP3")
    encode_file(source, tmp_path / "a.vqc", num_codebooks=1)
    samples = len(soundfile.read(source)[0])
    with (tmp_path / "a.vqc").open("rb") as file:
        reader = VqcReader(file)
        assert reader.header.samples is None
        assert reader.scan().samples == samples
    decode_file(tmp_path / "a.vqc", tmp_path / "a.wav")
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.frames, info.samplerate, info.channels) == (samples, 8000, 2)


def test_a_damaged_chunk_is_an_error_or_on_request_concealed(tmp_path, codec, speech):
    data = bytearray(compress(np.tile(speech, 3), 16000, model=codec, num_codebooks=2))
    data[len(data) // 2] ^= 1
    path = tmp_path / "a.vqc"
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"0:00:05\.12 to 0:00:10\.24"):
        decode_file(path, tmp_path / "a.wav", model=codec)
    assert not (tmp_path / "a.wav").exists()
    errors = []
    decode_file(path, tmp_path / "a.wav", model=codec, on_damage=errors.append)
    wave, _ = soundfile.read(tmp_path / "a.wav")
    assert len(errors) == 1
    assert len(wave) == 3 * len(speech)
    loud = [np.abs(wave[int(a * 16000) : int(b * 16000)]).max() > 0.05 for a, b in ((0, 5), (5.4, 10.2), (10.3, 15))]
    assert loud == [True, False, True]
    energy = [
        np.square(wave[int(a * 16000) : int(b * 16000)]).sum() for a, b in ((5.12, 5.22), (5.22, 5.32), (5.34, 10.2))
    ]
    assert energy[0] > energy[1] > 1e-6 > energy[2], "the last sound goes on and fades"
    # What was decoded before is untouched, and what follows is the decoder started anew.
    whole = decompress(compress(np.tile(speech, 3), 16000, model=codec, num_codebooks=2), model=codec)[0][0]
    assert np.abs(wave[: int(5.1 * 16000)] - whole[: int(5.1 * 16000)]).max() < 1e-3
    assert np.abs(wave[(12 * 16000) :] - whole[(12 * 16000) :]).max() < 1e-3


def test_a_lost_head_in_a_stream_is_told_once_and_reading_goes_on_behind_it(tmp_path, codec, speech):
    source = tmp_path / "a.mp3"
    soundfile.write(source, np.tile(speech, 3), 16000, format="MP3")
    encode_file(source, tmp_path / "a.vqc", model=codec, num_codebooks=1)
    data = (tmp_path / "a.vqc").read_bytes()
    second = data.index(b"\x42\x00\x01", 40)  # the head of the next chunk of 256 frames, entropy-coded
    (tmp_path / "a.vqc").write_bytes(data[:second] + b"\xff\xff" + data[second + 2 :])
    with pytest.raises(DamagedError, match="to the end"):
        decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", model=codec)
    errors = []
    decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", model=codec, on_damage=errors.append)
    assert len(errors) == 1
    assert (errors[0].start_seconds, errors[0].end_seconds) == (5.12, 10.24)
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(len(soundfile.read(source)[0]) / 16000)


def test_a_wrong_model_is_refused_by_name(tmp_path, toy_codec, toy_weights, speech, speech_path):
    data = compress(speech, 16000, num_codebooks=1)
    with pytest.raises(ModelError, match=r"written by speech-16k \(fingerprint \w+\), not by toy"):
        decompress(data, model=toy_codec)
    other = compress(speech, 16000, model=toy_codec)
    with pytest.raises(ModelError, match="fingerprint"):
        decompress(other)
    with pytest.raises(ModelError, match="fingerprint"):
        decompress(other, model="speech-16k")
    path = tmp_path / "a.vqc"
    path.write_bytes(other)
    with pytest.raises(ModelError, match=r"a\.vqc"):
        decode_file(path, tmp_path / "a.wav")
    decode_file(path, tmp_path / "a.wav", model=toy_weights)


def test_a_header_that_contradicts_its_model_is_refused(toy_codec, noise):
    from dataclasses import replace

    from vqcodec.bitstream import VqcWriter

    reader = VqcReader(io.BytesIO(compress(noise(1, 160), 8000, model=toy_codec)))
    for change in ({"hop_length": 80}, {"num_codebooks": 9}, {"codebook_size": 32}, {"sample_rate_hz": 16000}):
        header = replace(reader.header, samples=0, **change)
        file = io.BytesIO()
        VqcWriter(file, header).close()
        with pytest.raises(BitstreamError):
            decompress(file.getvalue(), model=toy_codec)


def test_a_codec_without_weights_file_cannot_write(toy_config):
    with pytest.raises(ModelError, match="never saved"):
        compress(np.zeros(100, np.float32), 8000, model=vqcodec.Codec(toy_config))


@pytest.mark.parametrize(
    ("wave", "rate_hz"),
    [
        (np.zeros(10, np.int16), 8000),
        (np.zeros((1, 1, 10), np.float32), 8000),
        (np.zeros((0, 10), np.float32), 8000),
        (np.zeros((256, 10), np.float32), 8000),
        (np.full(10, np.nan, np.float32), 8000),
        (np.zeros(10, np.float32), 3999),
        (np.zeros(10, np.float32), 8000.0),
        (np.zeros(10, np.float32), "8000"),
        (np.zeros(10, np.float32), None),
    ],
)
def test_waves_that_cannot_be_coded_are_audio_errors(toy_codec, wave, rate_hz):
    with pytest.raises(AudioError):
        compress(wave, rate_hz, model=toy_codec)


def test_targets_are_checked_before_any_work(tmp_path, speech_path):
    existing = tmp_path / "a.wav"
    existing.write_bytes(speech_path.read_bytes())
    with pytest.raises(OutputError, match="exists already"):
        encode_file(tmp_path / "none.wav", existing)
    with pytest.raises(OutputError, match="is the input itself"):
        encode_file(existing, existing, force=True)
    assert existing.read_bytes() == speech_path.read_bytes()


def test_a_read_only_folder_is_refused(toy_codec, read_only_folder):
    with pytest.raises(OutputError, match="read-only"):
        encode_file(io.BytesIO(b""), read_only_folder / "a.vqc", model=toy_codec)
    with pytest.raises(OutputError, match="read-only"):
        decode_file(io.BytesIO(b""), read_only_folder / "a.wav", model=toy_codec)


def test_excerpts_outside_the_audio_are_config_errors(tmp_path, speech_path):
    encode_file(speech_path, tmp_path / "a.vqc", num_codebooks=1)
    for bad in ({"start_seconds": 99.0}, {"start_seconds": -1.0}, {"duration_seconds": -1.0}, {"rate_hz": 100}):
        with pytest.raises(ConfigError):
            decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", **bad)
    for bad in ({"start_seconds": float("nan")}, {"duration_seconds": float("nan")}, {"num_codebooks": 2}):
        with pytest.raises(ConfigError):
            decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", **bad)
    assert not (tmp_path / "a.wav").exists()


def test_progress_ends_at_the_whole(tmp_path, speech_path):
    seen = []
    encode_file(speech_path, tmp_path / "a.vqc", num_codebooks=1, on_progress=lambda *both: seen.append(both))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_silence_stays_quiet(codec):
    back, _ = decompress(compress(np.zeros(32000, np.float32), 16000, model=codec), model=codec)
    assert np.abs(back).max() < 0.02


@pytest.mark.parametrize("value", [None, 5, 3.5, b"a.wav", ["a.wav"]])
def test_what_is_neither_a_path_nor_a_file_is_told_by_name(tmp_path, speech_path, value):
    for call in (encode_file, decode_file):
        with pytest.raises(TypeError, match=r"^source is \w+, expected a path or a binary file$"):
            call(value, tmp_path / "a")
        with pytest.raises(TypeError, match=r"^target is \w+, expected a path or a binary file$"):
            call(speech_path, value)


@pytest.mark.parametrize("value", ["x", None, True, "Take"])
def test_another_way_with_what_is_cut_is_refused_and_neither_refuses_nor_takes(tmp_path, speech_path, value):
    with pytest.raises(ConfigError, match=r"^on_truncated .* is none of refuse, take$"):
        encode_file(speech_path, tmp_path / "a.vqc", on_truncated=value)
    with pytest.raises(ConfigError, match="on_truncated"):
        AudioReader(speech_path, on_truncated=value)


def test_a_source_with_too_long_a_name_is_our_own_error(tmp_path):
    for call, error in ((encode_file, AudioError), (decode_file, BitstreamError)):
        with pytest.raises(error, match="is too long for a name or path; give a shorter one"):
            call(tmp_path / ("n" * 300), tmp_path / "a")
