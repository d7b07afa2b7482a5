"""Each adapter gives the codes and waves of transformers itself, and its files hold them."""

import functools
import io
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.bitstream.thin import thin
from vqcodec.errors import AudioError, BitstreamError, ConfigError, ModelError, UnavailableError
from vqcodec.files.request import new_header
from vqcodec.files.transcode import encode_blocks
from vqcodec.frames import num_frames
from vqcodec.models import zoo
from vqcodec.models.adapters import ADAPTERS, Adapter, open_adapter
from vqcodec.models.adapters.dac import DacAdapter
from vqcodec.sessions.clip_session import ClipDecoder, ClipEncoder
from vqcodec.sessions.stream import DecodeSession, EncodeSession

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def loaded():
    """Function: the adapter of a folder, whose model is read once for all tests."""
    return functools.cache(lambda folder: vqcodec.load(f"hf:{folder}"))


@pytest.fixture
def adapter(folder, loaded):
    return loaded(folder)


@pytest.fixture
def reference(folder):
    """transformers' own model, with what is documented: chunks side by side."""
    model = transformers.AutoModel.from_pretrained(str(folder))
    if getattr(model.config, "chunk_length_s", None):
        model.config.overlap = 0.0
    return model.eval()


def through(reference, wave):
    """Codes [K, F] and wave [A, T] of one input, wave [A, T], by transformers as its documentation shows it."""
    config, given = reference.config, torch.from_numpy(wave)[None]
    length = wave.shape[1]
    with torch.inference_mode():
        if config.model_type == "encodec":
            out = reference.encode(given, bandwidth=config.target_bandwidths[-1])
            decoded = reference.decode(
                out.audio_codes, out.audio_scales, last_frame_pad_length=out.last_frame_pad_length
            ).audio_values[0]
            codes = torch.cat(list(out.audio_codes[:, 0]), dim=1)
            codes = codes[:, : codes.shape[1] - out.last_frame_pad_length]
        elif config.model_type in ("dac", "xcodec"):  # of one feature extractor
            hz = config.sampling_rate if config.model_type == "dac" else config.sample_rate
            extractor = transformers.DacFeatureExtractor(sampling_rate=hz, hop_length=config.hop_length)
            inputs = extractor(raw_audio=wave[0], sampling_rate=hz, return_tensors="pt")
            codes = reference.encode(inputs["input_values"]).audio_codes[0]
            decoded = reference.decode(audio_codes=codes[None]).audio_values.reshape(1, -1)
        elif config.model_type in ("xcodec2", "neucodec"):
            codes, decoded = through_features(reference, wave)
        else:
            codes = reference.encode(given).audio_codes[0]
            decoded = reference.decode(codes[None]).audio_values[0]
    return codes.numpy(), decoded[:, :length].numpy()


def through_features(reference, wave):
    """`through` for models that take the features of an extractor as well, each with what it makes of whole frames."""
    config = reference.config
    if config.model_type == "xcodec2":
        extractor, hz, given = transformers.Xcodec2FeatureExtractor(), 16000, wave
        frames = num_frames(wave.shape[1], 320)  # one of 320, 640 ... samples has a frame of nothing behind it
    else:
        torchaudio = pytest.importorskip("torchaudio")
        extractor, hz = transformers.NeuCodecFeatureExtractor(), 16000
        filled = torch.nn.functional.pad(torch.from_numpy(wave), (0, -wave.shape[1] % 480))
        given, frames = torchaudio.transforms.Resample(24000, 16000)(filled).numpy(), None
    inputs = extractor(given[0], sampling_rate=hz, return_tensors="pt")
    codes = reference.encode(**inputs).audio_codes[0, :, :frames]
    return codes, reference.decode(codes[None]).audio_values[0]


@pytest.mark.slow
def test_twenty_random_clips_have_the_codes_and_waves_of_transformers(adapter, reference):
    rng = np.random.default_rng(0)
    lengths = [1, 2, adapter.hop_length, adapter.hop_length + 1, *rng.integers(3, 30000, 16)]
    for length in lengths:
        wave = rng.normal(0, 0.1, (adapter.inputs_per_model, int(length))).astype(np.float32)
        codes, scales = adapter.encode_clip(wave, adapter.total_codebooks)
        wanted, decoded = through(reference, wave)
        assert codes.shape[2] == num_frames(int(length), adapter.hop_length)
        own = codes.transpose(1, 0, 2).reshape(-1, codes.shape[2])  # as they were before channels shared them
        np.testing.assert_array_equal(own, wanted[: len(own)])
        again = adapter.decode_clip(codes, scales)[:, : decoded.shape[1]]
        np.testing.assert_allclose(again, decoded, atol=1e-5)
    assert len(np.unique(codes)) > 4, "the random model says something"


def test_nothing_and_silence(adapter):
    empty, _ = adapter.encode_clip(np.zeros((1, 0), np.float32), 2)
    assert empty.shape == (1, 2, 0)
    assert adapter.decode_clip(empty, None).shape == (1, 0)
    codes, scales = adapter.encode_clip(np.zeros((1, 5000), np.float32), 1)
    assert np.isfinite(adapter.decode_clip(codes, scales)).all()


def test_fewer_codebooks_are_a_prefix(adapter):
    wave = np.random.default_rng(0).normal(0, 0.1, (adapter.inputs_per_model, 9000)).astype(np.float32)
    whole, _ = adapter.encode_clip(wave, adapter.total_codebooks)
    for count in range(1, adapter.total_codebooks):
        np.testing.assert_array_equal(adapter.encode_clip(wave, count)[0], whole[:, :count])


@pytest.mark.parametrize("channels", [1, 2])
def test_files_hold_the_codes_and_decode_to_the_wave_of_the_model(adapter, channels, noise):
    hz = adapter.sample_rate_hz
    wave = noise(channels, 11000)
    data = vqcodec.compress(wave, hz, model=adapter)
    codes, scales = adapter.encode_clip(wave, adapter.total_codebooks)
    reader = VqcReader(io.BytesIO(data))
    np.testing.assert_array_equal(np.concatenate([c.codes for c in reader.chunks()], axis=2), codes)
    assert (reader.header.channels, reader.header.samples) == (channels, 11000)
    decoded, rate_hz = vqcodec.decompress(data, model=adapter)
    assert (rate_hz, decoded.shape) == (hz, wave.shape)
    np.testing.assert_allclose(decoded, adapter.decode_clip(codes, scales)[:, :11000], atol=1e-5)
    small = io.BytesIO()
    thin(VqcReader(io.BytesIO(data)), small, 1)
    first, _ = vqcodec.decompress(small.getvalue(), model=adapter)
    np.testing.assert_allclose(first, vqcodec.decompress(data, model=adapter, num_codebooks=1)[0])


def test_an_excerpt_of_a_short_clip_is_that_part_of_the_whole(adapter, noise, tmp_path):
    import soundfile

    hz = adapter.sample_rate_hz
    data = io.BytesIO(vqcodec.compress(noise(1, 2 * hz), hz, model=adapter))
    whole = vqcodec.decompress(data.getvalue(), model=adapter)[0][0]
    vqcodec.decode_file(data, tmp_path / "part.wav", model=adapter, start_seconds=1.0, duration_seconds=0.25)
    part, _ = soundfile.read(tmp_path / "part.wav", dtype="float32")
    np.testing.assert_allclose(part, np.clip(whole[hz : hz + hz // 4], -1, 1), atol=1e-4)


def test_other_rates_and_tensors(adapter, noise):
    data = vqcodec.compress(noise(1, 8000), 8000, model=adapter, num_codebooks=1)
    decoded, rate_hz = vqcodec.decompress(data, model=adapter)
    assert (decoded.shape, rate_hz) == ((1, 8000), 8000)
    codes = adapter.encode(torch.from_numpy(noise(3, 4000))[:, None], num_codebooks=1)
    assert codes.shape == (3, 1, num_frames(4000, adapter.hop_length))
    assert adapter.decode(codes, length_samples=4000).shape == (3, 1, 4000)


def test_each_clip_is_coded_as_if_alone(adapter, noise):
    waves = noise(3, 7000)
    one_by_one = np.concatenate([adapter.encode_clip(wave[None], 1)[0] for wave in waves])
    np.testing.assert_array_equal(adapter.encode(torch.from_numpy(waves)[:, None], num_codebooks=1).numpy(), one_by_one)


@pytest.mark.parametrize("name", ["encodec", "encodec-stereo", "dac", "xcodec", "xcodec2", "neucodec"])
def test_streams_are_refused_in_a_line(saved, name):
    adapter = vqcodec.load(f"hf:{saved(name)}")
    for session in (EncodeSession, DecodeSession):
        with pytest.raises(ConfigError, match="codes whole clips, no streams"):
            session(adapter)


def test_mimi_streams_with_the_codes_and_the_wave_of_the_whole(saved, noise):
    """Over 12 s, more than the 10 that its attention looks back."""
    adapter = vqcodec.load(f"hf:{saved('mimi')}")
    wave = noise(2, 150 * adapter.hop_length)
    whole, _ = adapter.encode_clip(wave, 4)
    encoder = EncodeSession(adapter, num_codebooks=4, batch=2)
    cuts = [1, 500, 1920, 5000, 100_000, 100_001]
    pieces = [encoder.push(part) for part in np.split(wave, cuts, axis=1)] + [encoder.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=2), whole)
    decoder = DecodeSession(adapter, batch=2)
    waves = [decoder.push(part) for part in np.split(whole, [1, 2, 3, 40, 41], axis=2)] + [decoder.flush()]
    np.testing.assert_allclose(np.concatenate(waves, axis=1), adapter.decode_clip(whole, None), atol=1e-4)
    encoder.push(wave[:, :4000])
    with pytest.raises(ConfigError, match="can neither be saved nor join"):
        encoder.save()
    assert decoder.conceal(3).shape == (2, 3 * adapter.hop_length)


def test_an_odd_number_of_channels_of_a_model_of_pairs_is_refused(saved, noise):
    adapter = vqcodec.load(f"hf:{saved('encodec-stereo')}")
    with pytest.raises(AudioError, match="codes pairs"):
        vqcodec.compress(noise(3, 2000), 48000, model=adapter)
    four = vqcodec.compress(noise(4, 20000), 48000, model=adapter)
    assert vqcodec.decompress(four, model=adapter)[0].shape == (4, 20000)


def test_levels_come_back_and_damaged_ones_are_told(saved, noise):
    adapter = vqcodec.load(f"hf:{saved('encodec-stereo')}")
    loud, quiet = noise(2, 20000), 0.01 * noise(2, 20000)
    files = [vqcodec.compress(wave, 48000, model=adapter) for wave in (loud, quiet)]
    levels = [np.abs(vqcodec.decompress(data, model=adapter)[0]).mean() for data in files]
    assert levels[0] == pytest.approx(100 * levels[1], rel=1e-3)
    damaged = ({"scales": "AAAAAA=="}, "not above 0")  # 0.0
    for tags, named in (
        damaged,
        ({}, "no tag 'scales'"),
        ({"scales": "!"}, "no levels"),
        ({"scales": "AAAA"}, "no levels"),
    ):
        with pytest.raises(BitstreamError, match=named):
            ClipDecoder(adapter, 2, tags=tags)
    with pytest.raises(BitstreamError, match="1 levels for 5 chunks"):
        ClipDecoder(adapter, 2, tags={"scales": "AACAPw=="}, frames=63)
    at_one_level = ClipDecoder(adapter, 2, tags={}, conceal=True)
    codes, scales = adapter.encode_clip(loud, 1)
    at_one_level.push(codes)
    np.testing.assert_allclose(at_one_level.flush(), adapter.decode_clip(codes, np.ones_like(scales)), atol=1e-4)
    with pytest.raises(BitstreamError, match="takes no levels out"):
        ClipDecoder(vqcodec.load(f"hf:{saved('dac')}"), 2, tags={"scales": "AACAPw=="})
    with pytest.raises(ConfigError, match="taken by the levels"):
        encode_blocks(
            [loud],
            adapter,
            new_header(adapter, rate_hz=48000, channels=2, samples=20000, num_codebooks=1),
            io.BytesIO(),
            tags={"scales": "mine"},
        )
    decoder = ClipDecoder(adapter, 2, tags={"scales": "AACAPw=="})  # 1.0, of one chunk
    decoder.push(adapter.encode_clip(loud, 1)[0])
    with pytest.raises(BitstreamError, match="of 1 chunks only"):
        decoder.flush()


# Long clips


@pytest.mark.parametrize("name", ["encodec", "encodec-stereo", "dac"])
def test_long_clips_go_in_pieces_that_fit_together(saved, noise, monkeypatch, name):
    """With pieces of a second: a model that looks no further than the context has exact seams."""
    monkeypatch.setattr(Adapter, "most_seconds", 1.0)
    monkeypatch.setattr(DacAdapter, "most_seconds", 1.0)
    monkeypatch.setattr("vqcodec.sessions.clip_session.CONTEXT_SECONDS", 0.4)
    adapter = vqcodec.load(f"hf:{saved(name)}")
    channels = adapter.inputs_per_model
    wave = noise(channels, 4 * adapter.sample_rate_hz)
    encoder = ClipEncoder(adapter, 2, channels)
    pieces = [encoder.push(part) for part in np.array_split(wave, 7, axis=1)] + [encoder.flush()]
    assert sum(piece.shape[2] > 0 for piece in pieces) > 2, "it did not wait for the end"
    codes = np.concatenate(pieces, axis=2)
    whole, scales = adapter.encode_clip(wave, 2)
    assert codes.shape == whole.shape
    assert np.mean(codes == whole) > 0.9, "an LSTM remembers, and a convolution sees, a little further than 0.4 s"
    decoder = ClipDecoder(adapter, channels, tags=encoder.tags)
    waves = [decoder.push(part) for part in np.array_split(whole, 9, axis=2)] + [decoder.flush()]
    expected = adapter.decode_clip(whole, scales)
    error = np.concatenate(waves, axis=1) - expected
    assert np.sqrt(np.mean(error**2)) < 0.05 * np.sqrt(np.mean(expected**2))


def test_lost_frames_are_silent(saved, noise):
    adapter = vqcodec.load(f"hf:{saved('dac')}")
    codes, _ = adapter.encode_clip(noise(1, 20 * adapter.hop_length), 2)
    decoder = ClipDecoder(adapter, 1, tags={})
    decoder.conceal(2)
    decoder.push(codes[:, :, 2:10])
    decoder.conceal(5)
    decoder.push(codes[:, :, 15:])
    wave = decoder.flush()[0].reshape(20, -1)
    silent = [frame for frame in range(20) if not wave[frame].any()]
    assert silent == [0, 1, 10, 11, 12, 13, 14]


# What is refused


def test_weights_are_named_by_their_hash(saved, noise, tmp_path):
    shutil.copytree(saved("dac"), tmp_path / "other")
    other = transformers.AutoModel.from_pretrained(str(tmp_path / "other"))
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    other.save_pretrained(tmp_path / "other")
    data = vqcodec.compress(noise(1, 4000), 44100, model=f"hf:{saved('dac')}")
    with pytest.raises(ModelError, match="give the weights that wrote it"):
        vqcodec.decompress(data, model=f"hf:{tmp_path / 'other'}")
    with pytest.raises(ModelError, match="not bundled"):
        vqcodec.decompress(data)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "no readable JSON"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
            "'bert'; there are encodec, dac",
        ),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "pickles are not read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"junk"), "cannot load it"),
    ],
    ids=["no config", "broken config", "another type", "a pickle", "damaged weights"],
)
def test_what_is_no_model_is_one_line(saved, tmp_path, noise, change, named):
    shutil.copytree(saved("dac"), tmp_path / "dac")
    change(tmp_path / "dac")
    with pytest.raises(ModelError, match=named) as caught:
        vqcodec.compress(noise(1, 1000), 44100, model=f"hf:{tmp_path / 'dac'}")
    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused(saved, tmp_path, noise):
    shutil.copytree(saved("dac"), tmp_path / "dac")
    tensors = load_file(tmp_path / "dac" / "model.safetensors")
    tensors.pop("encoder.conv1.bias")
    save_file(tensors, tmp_path / "dac" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights lack encoder.conv1.bias"):
        vqcodec.compress(noise(1, 1000), 44100, model=f"hf:{tmp_path / 'dac'}")


def test_a_config_that_claims_a_giant_is_refused_before_memory_is_taken(saved, tmp_path, monkeypatch, noise):
    shutil.copytree(saved("encodec"), tmp_path / "encodec")
    config = json.loads((tmp_path / "encodec" / "config.json").read_text())
    (tmp_path / "encodec" / "config.json").write_text(json.dumps(config | {"hidden_size": 8192, "num_filters": 2048}))
    save_file({"a": torch.zeros(1)}, tmp_path / "encodec" / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", lambda *_, **__: pytest.fail("made"))
    with pytest.raises(ModelError, match=r"a model of [\d,]{14,} values, its weights have \d+ bytes; fetch") as error:
        vqcodec.compress(noise(1, 1000), 24000, model=f"hf:{tmp_path / 'encodec'}")
    assert "\n" not in str(error.value)


def test_an_impossible_config_is_one_line(saved, tmp_path):
    shutil.copytree(saved("encodec"), tmp_path / "encodec")
    config = json.loads((tmp_path / "encodec" / "config.json").read_text())
    for change in {"target_bandwidths": []}, {"sampling_rate": 0}:
        (tmp_path / "encodec" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match="not that of a encodec|cannot load it"):
            vqcodec.load(f"hf:{tmp_path / 'encodec'}")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"normalize": True}, "normalizes without chunks"),
        ({"chunk_length_s": 0.1, "sampling_rate": 24001}, "no whole frames of"),
    ],
)
def test_levels_and_chunks_that_no_vqc_could_hold_are_refused(saved, tmp_path, change, named):
    shutil.copytree(saved("encodec"), tmp_path / "encodec")
    config = json.loads((tmp_path / "encodec" / "config.json").read_text())
    (tmp_path / "encodec" / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=named):
        vqcodec.load(f"hf:{tmp_path / 'encodec'}")


def test_codes_alone_are_no_file_of_a_model_that_takes_levels_out(saved, tmp_path):
    np.save(tmp_path / "codes.npy", np.zeros((2, 2, 9), np.int64))
    model = f"hf:{saved('encodec-stereo')}"
    with pytest.raises(ModelError, match="takes levels out"):
        vqcodec.import_codes(tmp_path / "codes.npy", tmp_path / "a.vqc", format="npy", model=model)
    assert not (tmp_path / "a.vqc").exists()


def test_ours_are_needed_where_a_model_is_trained_or_exported(saved):
    for use in (zoo.load_own, zoo.open_weights, zoo.load_onnx):
        with pytest.raises(ModelError, match="vqcodec"):
            use(f"hf:{saved('dac')}")


def test_an_effort_is_refused_in_a_line(saved, noise, tmp_path):
    model = f"hf:{saved('mimi')}"
    for use in (
        lambda: zoo.load(model, effort="best"),
        lambda: vqcodec.compress(noise(1, 500), 16000, model=model, effort="best"),
        lambda: vqcodec.tokens.tokenize(tmp_path, tmp_path / "out", model=model, effort="best"),
    ):
        with pytest.raises(ConfigError, match="^effort 'best' is not for hf:.*, whose codes are not searched for"):
            use()
    assert not (tmp_path / "out").exists()


def test_every_line_of_the_table_is_an_adapter_of_its_model_type(saved):
    names = ("encodec", "dac", "xcodec", "mimi", "xcodec2", "neucodec")
    types = {json.loads((saved(name) / "config.json").read_text())["model_type"] for name in names}
    assert set(ADAPTERS) == types
    for name in names:
        assert open_adapter(saved(name)).model_name == name


@pytest.mark.parametrize(("name", "rate_hz", "hop_length"), [("xcodec2", 16000, 320), ("neucodec", 24000, 480)])
def test_models_of_one_large_codebook_have_all_of_its_codes(saved, tmp_path, noise, name, rate_hz, hop_length):
    adapter = open_adapter(saved(name))
    assert (adapter.sample_rate_hz, adapter.hop_length) == (rate_hz, hop_length)
    assert (adapter.total_codebooks, adapter.codebook_size, adapter.frame_rate) == (1, 256, 50.0)
    config = json.loads((saved(name) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_levels": [4] * 8}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert open_adapter(tmp_path).codebook_size == 65536


@pytest.mark.parametrize("name", ["xcodec2", "neucodec"])
def test_torchaudio_is_needed_to_encode_alone(saved, noise, monkeypatch, name):
    data = vqcodec.compress(noise(1, 5000), 16000, model=f"hf:{saved(name)}")
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(UnavailableError, match=f"{name}: needs torchaudio to encode; pip install torchaudio"):
        vqcodec.compress(noise(1, 5000), 16000, model=f"hf:{saved(name)}")
    assert vqcodec.decompress(data, model=f"hf:{saved(name)}")[0].shape == (1, 5000)
