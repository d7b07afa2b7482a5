"""Models of transformers with random weights, small, saved as their users save them."""

import pytest
import torch

transformers = pytest.importorskip("transformers")


def encodec():
    """24 kHz, one channel."""
    return transformers.EncodecModel(
        transformers.EncodecConfig(
            num_filters=4,
            hidden_size=16,
            codebook_dim=16,
            codebook_size=64,
            num_lstm_layers=1,
            target_bandwidths=[0.45, 0.9, 1.8],
        )
    )


def encodec_stereo():
    """48 kHz, two channels, normalized chunks: of a tenth of a second here, so that clips have several."""
    return transformers.EncodecModel(
        transformers.EncodecConfig(
            num_filters=4,
            hidden_size=16,
            codebook_dim=16,
            codebook_size=64,
            num_lstm_layers=1,
            sampling_rate=48000,
            audio_channels=2,
            normalize=True,
            chunk_length_s=0.1,
            overlap=0.01,
            norm_type="time_group_norm",
            use_causal_conv=False,
            target_bandwidths=[1.8, 3.6, 7.2],
        )
    )


def dac():
    """44.1 kHz."""
    return transformers.DacModel(
        transformers.DacConfig(
            encoder_hidden_size=8, decoder_hidden_size=64, n_codebooks=4, codebook_size=64, sampling_rate=44100
        )
    )


def dac_16k():
    """Odd strides: its transposed convolutions give fewer samples than frames times hop."""
    return transformers.DacModel(
        transformers.DacConfig(
            encoder_hidden_size=8,
            decoder_hidden_size=64,
            n_codebooks=3,
            codebook_size=64,
            downsampling_ratios=[2, 4, 5, 8],
            upsampling_ratios=[8, 5, 4, 2],
            sampling_rate=16000,
        )
    )


def mimi():
    """24 kHz, 12.5 frames per second."""
    return transformers.MimiModel(
        transformers.MimiConfig(
            num_filters=4,
            hidden_size=16,
            codebook_size=64,
            codebook_dim=8,
            vector_quantization_hidden_dimension=8,
            num_quantizers=4,
            num_hidden_layers=1,
            intermediate_size=16,
            num_attention_heads=2,
            num_key_value_heads=2,
            upsample_groups=16,
        )
    )


def xcodec():
    """16 kHz, with a small HuBERT inside."""
    semantic = transformers.HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    acoustic = transformers.DacConfig(
        encoder_hidden_size=1, decoder_hidden_size=64, codebook_dim=4, downsampling_ratios=[8, 5, 4, 2]
    )
    return transformers.XcodecModel(
        transformers.XcodecConfig(
            codebook_size=64,
            target_bandwidths=[0.3, 0.6, 1.5],
            acoustic_model_config=acoustic,
            semantic_model_config=semantic,
        )
    )


def _with_small_wav2vec2(kind):
    """A configuration of X-Codec2 or of what descends from it."""
    return kind(
        hidden_size=64,  # in 32 groups, of which each must have more than a value
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        encoder_hidden_size=4,
        quantization_dim=80,
        quantization_levels=[4, 4, 4, 4],
        semantic_model_config={
            "model_type": "wav2vec2-bert",
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
    )


def xcodec2():
    """16 kHz, one codebook, with a small Wav2Vec2-BERT inside."""
    return transformers.Xcodec2Model(_with_small_wav2vec2(transformers.Xcodec2Config))


def neucodec():
    """In 16 kHz, out 24."""
    return transformers.NeuCodecModel(_with_small_wav2vec2(transformers.NeuCodecConfig))


MODELS = {
    "encodec": encodec,
    "encodec-stereo": encodec_stereo,
    "dac": dac,
    "dac-16k": dac_16k,
    "xcodec": xcodec,
    "mimi": mimi,
    "xcodec2": xcodec2,
    "neucodec": neucodec,
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Function of a name in MODELS -> the folder of that model."""
    folders = {}

    def save(name):
        if name not in folders:
            torch.manual_seed(1)
            model = MODELS[name]().eval()
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            for buffer_name, buffer in model.named_buffers():
                if buffer_name.endswith(("embed", "embed_sum")):  # codebooks, which begin as zeros
                    torch.nn.init.normal_(buffer, std=0.3)
            folders[name] = tmp_path_factory.mktemp(name) / name
            model.save_pretrained(folders[name])
        return folders[name]

    return save


@pytest.fixture(params=MODELS)
def folder(request, saved):
    return saved(request.param)
