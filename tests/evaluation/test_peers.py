"""Codecs of transformers with random weights: the bytes hold the codes, and decode to what transformers decodes."""

import numpy as np
import pytest
import torch

from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.registry import open_codec

transformers = pytest.importorskip("transformers")


def encodec():
    config = transformers.EncodecConfig(
        num_filters=4,
        hidden_size=16,
        codebook_dim=16,
        codebook_size=64,
        num_lstm_layers=1,
        upsampling_ratios=[8, 5, 4, 2],
        target_bandwidths=[0.45, 0.9, 1.8],
        normalize=False,
    )
    return transformers.EncodecModel(config)


def dac():
    config = transformers.DacConfig(
        encoder_hidden_size=8,
        decoder_hidden_size=64,
        n_codebooks=3,
        codebook_size=64,
        downsampling_ratios=[2, 4, 5, 8],
        upsampling_ratios=[8, 5, 4, 2],
        sampling_rate=16000,
    )
    return transformers.DacModel(config)


@pytest.fixture(params=[encodec, dac], ids=["encodec", "dac"])
def peer(request, tmp_path):
    torch.manual_seed(0)
    model = request.param().eval()
    model.save_pretrained(tmp_path / "peer")
    return model, open_codec(f"hf:{tmp_path / 'peer'}")


def test_bytes_are_codes_of_transformers_in_fixed_width(peer, speech):
    model, codec = peer
    (kbps,) = codec.rates_kbps([0.9])
    hz = model.config.sampling_rate
    rng = np.random.default_rng(0)
    wave = rng.normal(0, 0.1, 320 * 50).astype(np.float32)
    coded = codec.run(wave, hz, kbps)
    depth = len(coded.codes)
    given = torch.from_numpy(wave)[None, None]
    with torch.inference_mode():
        if model.config.model_type == "encodec":
            codes = model.encode(given, bandwidth=kbps).audio_codes[0]
            expected = model.decode(codes[None], [None]).audio_values
        else:
            codes = model.encode(given, n_quantizers=depth).audio_codes
            expected = model.decode(audio_codes=codes).audio_values
    np.testing.assert_array_equal(coded.codes, codes[0].numpy())
    np.testing.assert_allclose(coded.wave_hat, expected.reshape(-1).numpy()[: len(wave)], atol=1e-5)
    assert coded.codebook_size == 64
    assert len(coded.data) == coded.payload_bytes == pytest.approx(depth * coded.codes.shape[1] * 6 / 8, abs=depth)


@pytest.mark.parametrize("length", [1, 319, 8000])
def test_clips_keep_rate_and_length(peer, speech, length):
    _, codec = peer
    coded = codec.run(speech[:length], 16000, codec.rates_kbps([6])[0])
    assert length - 8 <= len(coded.wave_hat) <= length  # DAC's transposed convolutions of odd strides lose 8


def test_what_is_no_codec_is_one_line(tmp_path):
    (tmp_path / "bert").mkdir()
    bert = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    bert.save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigError, match="bert"):
        open_codec(f"hf:{tmp_path / 'bert'}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(UnavailableError) as raised:
        open_codec(f"hf:{tmp_path / 'broken'}")
    assert "\n" not in str(raised.value)
