"""From files of other tools to .vqc: what VqcReader reads of them, and what decodes."""

import io

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.cli import main
from vqcodec.errors import BitstreamError, ConfigError, ModelError, OutputError
from vqcodec.files.foreign import importing


def some_codes(*shape, size=1024):
    return np.random.default_rng(shape[-1]).integers(0, size, shape)


def read(path):
    """Header, tags and codes [C, K, F] of a .vqc."""
    with path.open("rb") as file:
        reader = VqcReader(file)
        start = np.zeros((reader.header.channels, reader.header.num_codebooks, 0), int)
        codes = np.concatenate([start, *(chunk.codes for chunk in reader.chunks())], axis=2)
        return reader.header, reader.tags, codes


def test_codes_of_encodec_come_through_and_decode_to_their_length(ecdc_bytes, tmp_path, like_encodec):
    codes, samples = some_codes(8, 150), 150 * 320 - 100
    (tmp_path / "a.ecdc").write_bytes(ecdc_bytes(codes, samples))
    model = vqcodec.load(like_encodec)
    summary = vqcodec.import_codes(tmp_path / "a.ecdc", tmp_path / "a.vqc", format="ecdc", model=model)
    assert summary.file_bytes == (tmp_path / "a.vqc").stat().st_size
    header, tags, found = read(tmp_path / "a.vqc")
    np.testing.assert_array_equal(found[0], codes)
    assert (header.samples, header.original_rate_hz, tags) == (samples, 24000, {})
    vqcodec.decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", model=model)
    assert soundfile.info(tmp_path / "a.wav").frames == samples


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_codes_of_dac_come_through_with_loudness_channels_and_rate(dac_object, saved, tmp_path, like_dac, rate_hz):
    codes, samples = some_codes(2, 9, 40), (40 * 512 - 300) * rate_hz // 44100
    content = dac_object(codes, original_length=samples, sample_rate=rate_hz)
    (tmp_path / "a.dac").write_bytes(saved(content))
    vqcodec.import_codes(tmp_path / "a.dac", tmp_path / "a.vqc", format="dac", model=like_dac)
    header, tags, found = read(tmp_path / "a.vqc")
    np.testing.assert_array_equal(found, codes)
    assert (header.samples, header.original_rate_hz, tags) == (samples, rate_hz, {"input_db": "-23.46"})
    vqcodec.decode_file(tmp_path / "a.vqc", tmp_path / "a.wav", model=like_dac)
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.frames, info.samplerate, info.channels) == (samples, rate_hz, 2)


def test_a_sample_that_dacs_resampler_dropped_may_cost_its_frame(dac_object, saved, tmp_path, like_dac):
    """48 kHz to 44.1: 22291 samples are 20479.9 at the model's rate, which DAC rounds down and a .vqc up."""
    samples = next(n for n in range(20000, 10**6) if n * 441 // 480 % 512 == 0 and n * 441 % 480)
    frames = samples * 441 // 480 // 512
    content = dac_object(some_codes(1, 9, frames), original_length=samples, sample_rate=48000)
    vqcodec.import_codes(io.BytesIO(saved(content)), tmp_path / "a.vqc", format="dac", model=like_dac)
    header, _, found = read(tmp_path / "a.vqc")
    assert found.shape[2] == frames
    assert 0 < samples - header.samples <= 2


@pytest.mark.parametrize("shape", [(3, 20), (1, 3, 20), (2, 3, 20), (2, 1, 0)])
def test_arrays_of_codes_come_through(tmp_path, toy_weights, shape):
    codes = some_codes(*shape, size=16)
    np.save(tmp_path / "a.npy", codes)
    vqcodec.import_codes(tmp_path / "a.npy", tmp_path / "a.vqc", format="npy", model=toy_weights)
    header, _, found = read(tmp_path / "a.vqc")
    np.testing.assert_array_equal(found, codes if codes.ndim == 3 else codes[None])
    assert (header.samples, header.original_rate_hz) == (codes.shape[-1] * 160, 8000)


def test_what_was_encoded_and_imported_again_decodes_alike(saved, tmp_path, toy_codec, speech):
    wave = speech[:24000]
    data = vqcodec.compress(wave, 16000, model=toy_codec)
    codes = np.concatenate([chunk.codes for chunk in VqcReader(io.BytesIO(data)).chunks()], axis=2)
    facts = {"format": "npy", "model": toy_codec, "samples": 24000, "rate_hz": 16000}
    vqcodec.import_codes(io.BytesIO(saved(codes)), tmp_path / "a.vqc", **facts)
    assert (tmp_path / "a.vqc").read_bytes() == data


def test_the_bundled_model_compresses_what_is_imported(saved, tmp_path, codec, speech):
    data = vqcodec.compress(speech, 16000, model=codec, kbps=3)
    codes = np.concatenate([c.codes for c in VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy)], axis=2)
    vqcodec.import_codes(io.BytesIO(saved(codes)), tmp_path / "a.vqc", format="npy", model=codec, samples=len(speech))
    assert (tmp_path / "a.vqc").read_bytes() == data


def test_long_arrays_are_written_in_runs(saved, tmp_path, toy_weights, monkeypatch):
    monkeypatch.setattr(importing, "_FRAMES_AT_ONCE", 7)
    codes = some_codes(1, 3, 600, size=16)
    vqcodec.import_codes(io.BytesIO(saved(codes)), tmp_path / "a.vqc", format="npy", model=toy_weights)
    np.testing.assert_array_equal(read(tmp_path / "a.vqc")[2], codes)


def refused(tmp_path, data, error, message, **options):
    with pytest.raises(error, match=message) as caught:
        vqcodec.import_codes(io.BytesIO(data), tmp_path / "a.vqc", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_have_made_the_codes_is_refused(
    ecdc_bytes, dac_object, saved, tmp_path, toy_weights, like_encodec, like_dac
):
    ecdc = ecdc_bytes(some_codes(8, 10), 3200)
    refused(tmp_path, ecdc, ModelError, "made by encodec_24khz .* not by toy", format="ecdc", model=toy_weights)
    refused(tmp_path, ecdc, ModelError, "^nothing: no such model", format="ecdc", model="nothing")
    npy = {"format": "npy", "model": toy_weights}
    refused(tmp_path, saved(some_codes(4, 5, size=16)), BitstreamError, "4 codebooks.* toy has 3", **npy)
    refused(tmp_path, saved(np.zeros((0, 5), int)), BitstreamError, "0 codebooks", **npy)
    refused(tmp_path, saved(np.zeros((0, 3, 5), int)), BitstreamError, "channels 0", **npy)
    refused(tmp_path, saved(some_codes(3, 50)), BitstreamError, r"expected 0..15; another model", **npy)
    refused(tmp_path, saved(np.full((3, 5), -1)), BitstreamError, r"expected 0..15", **npy)
    refused(tmp_path, saved(np.full((3, 5), 2**64 - 1, np.uint64)), BitstreamError, r"expected 0..15", **npy)
    half = dac_object(some_codes(1, 9, 40), original_length=40 * 256)
    refused(
        tmp_path, saved(half), BitstreamError, "20 frames of like-dac, the file has 40", format="dac", model=like_dac
    )
    far = dac_object(some_codes(1, 9, 40), sample_rate=10**9)
    refused(tmp_path, saved(far), BitstreamError, "original_rate_hz", format="dac", model=like_dac)


def test_a_length_that_the_frames_do_not_have_is_refused(saved, tmp_path, toy_weights):
    options = {"format": "npy", "model": toy_weights}
    data = saved(some_codes(3, 5, size=16))
    refused(tmp_path, data, BitstreamError, "801 samples at 8000 Hz are 6 frames", samples=801, **options)
    refused(tmp_path, data, BitstreamError, "4 frames of toy, the file has 5", samples=640, **options)
    refused(tmp_path, data, BitstreamError, "samples", samples=10**15, **options)
    refused(tmp_path, data, BitstreamError, "original_rate_hz 1", rate_hz=1, **options)
    refused(tmp_path, data, ConfigError, "tells its samples", format="ecdc", model=toy_weights, samples=3)
    refused(tmp_path, data, ConfigError, "none of ecdc, dac, npy", format="wav", model=toy_weights)


def test_files_that_cannot_be_read_or_written_are_told(tmp_path, toy_weights, monkeypatch):
    options = {"format": "npy", "model": toy_weights}
    with pytest.raises(BitstreamError, match="missing.npy: cannot read"):
        vqcodec.import_codes(tmp_path / "missing.npy", tmp_path / "a.vqc", **options)
    np.save(tmp_path / "a.npy", some_codes(3, 5, size=16))
    with pytest.raises(OutputError, match="is the input itself"):
        vqcodec.import_codes(tmp_path / "a.npy", tmp_path / "a.npy", force=True, **options)
    (tmp_path / "a.vqc").write_bytes(b"old")
    with pytest.raises(OutputError, match="--force"):
        vqcodec.import_codes(tmp_path / "a.npy", tmp_path / "a.vqc", **options)
    vqcodec.import_codes(tmp_path / "a.npy", tmp_path / "a.vqc", force=True, **options)
    monkeypatch.setattr(importing, "MAX_FILE_BYTES", 50)
    with pytest.raises(BitstreamError, match="more than 50 bytes"):
        vqcodec.import_codes(tmp_path / "a.npy", tmp_path / "b.vqc", **options)


@pytest.mark.parametrize("format", ["ecdc", "dac", "npy"])
def test_a_file_cut_anywhere_is_one_line_and_leaves_nothing(
    ecdc_bytes, dac_object, saved, tmp_path, format, like_encodec, like_dac
):
    data = {
        "ecdc": ecdc_bytes(some_codes(2, 3), 900),
        "dac": saved(dac_object(some_codes(1, 2, 3))),
        "npy": saved(some_codes(2, 3)),
    }[format]
    model = vqcodec.load(like_dac if format == "dac" else like_encodec)
    for size in range(len(data)):
        refused(tmp_path, data[:size], BitstreamError, "^standard input: ", format=format, model=model)
    vqcodec.import_codes(io.BytesIO(data), tmp_path / "a.vqc", format=format, model=model)


# The command


def run(*arguments, code=0, **kwargs):
    result = CliRunner().invoke(main, ["import", *map(str, arguments)], prog_name="vqcodec", **kwargs)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_the_command_imports_every_format(ecdc_bytes, dac_object, saved, tmp_path, like_encodec, like_dac):
    (tmp_path / "a.ecdc").write_bytes(ecdc_bytes(some_codes(8, 75), 24000))
    (tmp_path / "a.dac").write_bytes(saved(dac_object(some_codes(1, 9, 40))))
    np.save(tmp_path / "a.npy", some_codes(8, 75))
    assert "0:00:01.00" in run("ecdc", tmp_path / "a.ecdc", tmp_path / "a.vqc", "--model", like_encodec).output
    assert "0:00:00.46" in run("dac", tmp_path / "a.dac", tmp_path / "b.vqc", "--model", like_dac).output
    options = ("--model", like_encodec, "--samples", 11990, "--rate", 12000)
    run("npy", tmp_path / "a.npy", tmp_path / "c.vqc", *options)
    assert read(tmp_path / "c.vqc")[0].samples == 11990
    piped = run("npy", "-", "-", *options, input=(tmp_path / "a.npy").read_bytes())
    assert piped.stdout_bytes == (tmp_path / "c.vqc").read_bytes()


def test_the_command_fails_in_one_line(ecdc_bytes, tmp_path, like_encodec):
    (tmp_path / "a.ecdc").write_bytes(ecdc_bytes(some_codes(8, 75), 24000, lm=True))
    output = run("ecdc", tmp_path / "a.ecdc", tmp_path / "a.vqc", "--model", like_encodec, code=1).output
    assert output.startswith("Error: ")
    assert "language model" in output
    assert output.count("\n") == 1
    assert not (tmp_path / "a.vqc").exists()
    run("ecdc", tmp_path / "a.ecdc", tmp_path / "a.vqc", code=2)
    run("ecdc", tmp_path / "a.ecdc", tmp_path / "a.vqc", "--model", like_encodec, "--samples", 3, code=2)


def test_every_format_has_help_with_an_example():
    for format in importing.FORMATS:
        assert run(format, "--help").output.count(f"vqcodec import {format}") == 2
    assert "-16 dB" in run("dac", "--help").output
