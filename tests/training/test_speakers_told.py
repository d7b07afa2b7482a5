"""Training a decoder that is told who speaks: from manifests with a column `speaker` to the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vqcodec.errors import ConfigError, TrainingError
from vqcodec.models.weights import load_weights
from vqcodec.models.weightsfile import WeightsFile
from vqcodec.training.checkpoint import load_checkpoint
from vqcodec.training.config import RunConfig, validate
from vqcodec.training.data.segments import Segments
from vqcodec.training.trainer import Trainer


@pytest.fixture
def spoken(tmp_path, speech_path):
    """Manifest of a clip of Anna, one of Bert and one of nobody, and the keys that train with it."""
    clips = [(speech_path, "anna"), (speech_path.parent / "kerstin.flac", "bert"), (speech_path, "")]
    rows = [f"{path},{speaker}" for path, speaker in clips]
    manifest = tmp_path / "spoken.csv"
    manifest.write_text("\n".join(["file,speaker", *rows]) + "\n", encoding="utf-8")
    return manifest


def told_run(toy_run, manifest, init, **data):
    """RunConfig of two codebooks of the toy model's three, and a decoder that is told the speakers of `manifest`."""
    data = {"train": [str(manifest)], "valid": [str(manifest)], "speaker_seconds": 1, "disguise_share": 0.5} | data
    return toy_run(model={"total_codebooks": 2}, data=data, init=str(init), freeze=["encoder", "quantizer"], steps=6)


@pytest.mark.slow
def test_a_run_learns_who_speaks_with_what_it_starts_from_and_goes_on(toy_run, toy_weights, spoken, tmp_path):
    config = told_run(toy_run, spoken, toy_weights)
    result = Trainer(config, tmp_path / "whole").fit()
    file, start = WeightsFile(result.weights), WeightsFile(toy_weights)
    assert (file.config.speakers, file.config.total_codebooks) == (("anna", "bert"), 2)
    for name in ("encoder.to_latent.weight", "quantizer.codebooks.1.weight"):
        np.testing.assert_array_equal(file.array(name), start.array(name))
    assert file.array("decoder.head.norm.to_norm.weight").any()
    heard = [
        load_weights(file).decode(torch.zeros(1, 2, 9, dtype=torch.int64), speaker=name) for name in ("anna", "bert")
    ]
    assert not torch.equal(*heard)

    part = tmp_path / "part"
    Trainer(config.model_copy(update={"steps": 4}), part).fit()
    resumed = Trainer(validate(RunConfig, config.model_dump() | {"steps": 4}, where="test"), part)
    resumed.resume()
    tensors = load_checkpoint(part)[0]
    np.testing.assert_array_equal(
        resumed.codec.decoder.speaker_vectors.weight.detach(), tensors["codec.decoder.speaker_vectors.weight"]
    )


def test_a_segment_says_who_speaks_and_what_the_encoder_hears_instead(toy_run, toy_weights, spoken):
    data = told_run(toy_run, spoken, toy_weights, disguise_share=1.0, disguise=(1.3, 1.3)).data
    segments = Segments(data, 8000, 0, speakers=("bert", "anna"))
    drawn = [segments[index] for index in range(20)]
    assert {(item.speaker, "ljspeech" in item.path) for item in drawn} == {(0, False), (1, True)}
    assert all(item.samples.shape == (2, 2400) and not torch.equal(*item.samples) for item in drawn)
    plain = Segments(data.model_copy(update={"disguise_share": 0.0}), 8000, 0, speakers=("bert", "anna"))[0]
    assert torch.equal(*plain.samples)


def test_a_run_without_the_speakers_that_it_needs_says_so(toy_run, toy_weights, spoken, speech_path, tmp_path):
    def fails(message, **data):
        with pytest.raises(TrainingError, match=message) as caught:
            Trainer(told_run(toy_run, spoken, toy_weights, **data), tmp_path / "run").fit()
        assert "\n" not in str(caught.value)

    fails("nobody speaks so long in data.train", speaker_seconds=1000)
    fails("nobody speaks so long in data.train", train=[str(speech_path)])
    fails("no clip is spoken by one of model.speakers", valid=[str(speech_path)])
    named = told_run(toy_run, spoken, toy_weights)
    named = named.model_copy(update={"model": replace(named.model, speakers=("anna", "zoe"))})
    with pytest.raises(TrainingError, match="spoken by 'zoe'"):
        Trainer(named, tmp_path / "run").fit()
    with pytest.raises(ConfigError, match=r"disguise_share needs a decoder that is told"):
        toy_run(data={"disguise_share": 0.5})
