"""Priors: what a step sees, files, samples, and the commands that train, judge and draw from one."""

import json
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import ConfigError, ModelError
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.tokens.patterns import Delayed
from vqcodec.tokens.prior.data import CodesInMemory
from vqcodec.tokens.prior.judging import bits_per_code
from vqcodec.tokens.prior.priorfile import FORMAT, load_prior
from vqcodec.tokens.prior.sampling import Sampler
from vqcodec.tokens.run import tokenize
from vqcodec.tokens.work.messages import Workers

RECIPE = Path(__file__).parents[3] / "recipes" / "prior.yaml"


@pytest.fixture
def network(prior_path):
    return load_prior(prior_path).network


@pytest.fixture
def command(toy_weights):
    """Function: run a command for the toy model; returns its result."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [*map(str, arguments), "--model", str(toy_weights)])
        assert result.exit_code == code, result.output
        return result

    return run


def random_tokens(frames):
    codes = np.random.default_rng(frames).integers(0, 16, (3, frames))
    return torch.from_numpy(Delayed(3, 16).flatten(codes))[None]


def test_steps_with_what_was_seen_give_what_all_at_once_give(network):
    tokens = random_tokens(30)
    whole, _ = network(tokens)
    parts, seen = [], None
    for piece in tokens.split([1, 1, 12, 1, 2, 15], dim=2):
        logits, seen = network(piece, seen)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-4)  # other kernels for few rows
    assert seen.seen.steps == 32
    assert seen.seen.layers[0][0].shape[2] == network.sizes.window - 1


def test_a_step_sees_neither_later_ones_nor_those_before_its_windows(network):
    tokens = random_tokens(40)
    changed = tokens.clone()
    changed[:, :, 20] = (changed[:, :, 20] + 1) % 16
    differs = (network(tokens)[0] - network(changed)[0]).abs().amax((0, 2, 3)) > 1e-6
    reach = 20 + network.sizes.num_codebooks + network.sizes.layers * (network.sizes.window - 1)
    assert differs[20] and differs[reach]
    assert not differs[:20].any() and not differs[reach + 1 :].any()


def test_bits_per_code_are_those_of_the_definition(network):
    codes = np.random.default_rng(0).integers(0, 16, (3, 600)).astype(np.uint16)  # more than a block
    tokens = Delayed(3, 16).flatten(codes)
    read = np.concatenate((np.full((3, 1), 16), tokens[:, :-1]), axis=1)
    likely = network(torch.from_numpy(read)[None])[0][0].log_softmax(2)
    wanted = [
        -np.mean([likely[frame + k, k, codes[k, frame]].item() for frame in range(600)]) / math.log(2) for k in range(3)
    ]
    np.testing.assert_allclose(bits_per_code(network, [codes]), wanted, rtol=1e-4)
    twice = bits_per_code(network, [codes[:, :500], codes[:, 500:]])
    assert twice != pytest.approx(wanted, rel=1e-5)  # each utterance begins anew


def test_samples_come_as_the_network_tells_and_go_on_from_a_prompt(network):
    prompt = np.random.default_rng(1).integers(0, 16, (3, 20))
    frames = np.stack(list(islice(Sampler(network, top_k=1).frames(prompt), 12)), axis=1)
    tokens = Delayed(3, 16).flatten(np.concatenate((prompt, frames), axis=1))
    read = np.concatenate((np.full((3, 1), 16), tokens[:, :-1]), axis=1)
    likeliest = network(torch.from_numpy(read)[None])[0][0].argmax(2).numpy()
    for k in range(3):
        # The last ones saw coarser codes of frames that were drawn after them and are not here.
        np.testing.assert_array_equal(frames[k, :9], likeliest[20 + k : 29 + k, k])


def test_the_same_seed_gives_the_same_codes_and_another_others(network):
    def draw(**options):
        return np.stack(list(islice(Sampler(network, **options).frames(), 20)))

    assert draw().shape == (20, 3)
    np.testing.assert_array_equal(draw(seed=5), draw(seed=5))
    assert (draw(seed=5) != draw(seed=6)).any()
    assert (draw(seed=5) != draw(seed=5, temperature=3.0)).any()
    for wrong in ({"temperature": 0}, {"temperature": math.nan}, {"top_k": 0}, {"seed": -1}):
        with pytest.raises(ConfigError):
            Sampler(network, **wrong)


def test_segments_are_of_one_utterance_and_the_same_for_the_same_step():
    ends = np.array([3, 50, 60])
    codes = np.stack([np.arange(60)] * 2).astype(np.uint16)
    data = CodesInMemory(codes, ends, 1024)
    tokens, is_code = data.batch(64, 10, (0, 1))
    again, _ = data.batch(64, 10, (0, 1))
    assert torch.equal(tokens, again)
    assert not torch.equal(tokens, data.batch(64, 10, (0, 2))[0])
    for row, there in zip(tokens[:, 0], is_code[:, 0], strict=True):
        frames = row[there].numpy()
        assert (np.diff(frames) == 1).all() and len(frames) <= 10
        assert len(set(np.searchsorted(ends, frames, side="right"))) == 1


def test_the_command_draws_files_and_streams(command, prior_path, speech, tmp_path):
    soundfile.write(tmp_path / "prompt.wav", speech[:16000], 16000)
    given = ["--prior", prior_path, "--prompt", tmp_path / "prompt.wav", "--seconds", 0.5, "--seed", 3]
    command("generate", tmp_path / "a.wav", *given)
    command("generate", tmp_path / "b.wav", *given, "--live")
    wave, rate_hz = soundfile.read(tmp_path / "a.wav")
    assert (rate_hz, len(wave)) == (8000, 8000 + 4000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "b.wav")[0], wave)
    command("generate", tmp_path / "c.flac", "--prior", prior_path, "--seconds", 0.31)
    assert soundfile.info(tmp_path / "c.flac").frames == 16 * 160


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seconds", "0"], "seconds 0.0 are not above 0"),
        (["--seconds", "nan"], "seconds nan"),
        (["--temperature", "0"], "temperature 0.0"),
        (["--prompt", "none.wav"], "none.wav"),
        (["--prior", "none.safetensors"], "cannot read the prior"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_line(command, prior_path, tmp_path, arguments, told):
    output = tmp_path / "out.wav"
    result = command("generate", output, "--prior", prior_path, *arguments, code=1)
    assert told in result.output and result.output.count("\n") == 1
    assert not output.exists()


def test_what_is_no_prior_or_one_of_another_model_is_refused(prior_path, toy_config, toy_weights, tmp_path):
    bad, data = tmp_path / "bad.safetensors", prior_path.read_bytes()
    for content in (b"", b"text", data[: len(data) // 2], toy_weights.read_bytes()):
        bad.write_bytes(content)
        with pytest.raises(ModelError, match="not a prior"):
            load_prior(bad)
    tensors, length = load_file(prior_path), int.from_bytes(data[:8], "little")
    facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][FORMAT])
    for wrong in ({"layers": 1 << 40}, {"heads": "2"}, {"heads": 3}, {"window": 0}, {"model": 5}, {"more": 1}):
        save_file(tensors, bad, metadata={FORMAT: json.dumps(facts | wrong)})
        with pytest.raises(ModelError, match="not a prior"):
            load_prior(bad)
    save_file(tensors, bad, metadata={FORMAT: json.dumps(facts | {"channels": 8192, "layers": 200})})
    with pytest.raises(ModelError, match="do not have the sizes"):
        load_prior(bad)
    save_file(tensors | {"to_hidden.bias": torch.full((16,), math.nan)}, bad, metadata={FORMAT: json.dumps(facts)})
    with pytest.raises(ModelError, match="not a prior"):
        load_prior(bad)
    other = tmp_path / "other.safetensors"
    save_weights(toy_config, Codec(toy_config).state_dict(), other)
    with pytest.raises(ModelError, match="the codes are of toy"):
        vqcodec.generate_file(tmp_path / "out.wav", prior=prior_path, model=other)
    with pytest.raises(ModelError, match="a prior of the codes of toy"):
        load_prior(prior_path).check(load_weights(other))
    with pytest.raises(ModelError, match="is not bundled"):
        vqcodec.generate_file(tmp_path / "out.wav", prior=prior_path)
    assert not (tmp_path / "out.wav").exists()


@pytest.fixture
def toy_tokens(speech, toy_weights, tmp_path, in_process):
    """Tokens of eight clips by the toy model."""
    (tmp_path / "clips").mkdir()
    for number, clip in enumerate(np.split(speech[:64000], 8)):
        soundfile.write(tmp_path / "clips" / f"{number}.wav", clip, 16000)
    tokenize(tmp_path / "clips", tmp_path / "tokens", model=toy_weights, workers=Workers(1))
    return tmp_path / "tokens"


SMALL = [
    "model.codebooks=3",
    "model.channels=16",
    "model.layers=1",
    "accelerator=cpu",
    "log_every=2",
    "validate_every=4",
]


@pytest.mark.slow
def test_the_recipe_trains_resumes_to_the_bit_and_is_judged(command, toy_tokens, tmp_path):
    train = ["prior", "train", toy_tokens, "--recipe", RECIPE, "--valid", toy_tokens, *SMALL]
    command(*train, "steps=8", "--out", tmp_path / "whole.safetensors", "--run", tmp_path / "whole")
    part = ["--out", tmp_path / "part.safetensors", "--run", tmp_path / "part"]
    command(*train, "steps=8", "max_minutes=0.00001", *part)
    assert "holds a run already" in command(*train, "--force", *part, code=1).output
    again = ["prior", "train", toy_tokens, "--valid", toy_tokens, *part, "--resume"]
    command(*again, "max_minutes=null")
    whole, resumed = load_file(tmp_path / "whole.safetensors"), load_file(tmp_path / "part.safetensors")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["kind"] == "validation"] == [4, 8]
    facts = json.loads(command("prior", "evaluate", tmp_path / "whole.safetensors", toy_tokens, "--json").output)
    assert facts["prior"] == pytest.approx(log[-1]["bits"], abs=0.01)  # float16


@pytest.mark.slow
def test_what_cannot_be_trained_is_told_in_a_line(command, toy_tokens, tmp_path):
    out = ["--out", tmp_path / "p.safetensors", "--run", tmp_path / "run"]

    def refused(*arguments):
        result = command("prior", "train", *arguments, *out, code=1)
        assert result.output.count("\n") == 1, result.output
        assert not (tmp_path / "p.safetensors").exists()
        return result.output

    assert "the tokens have 3; set model.codebooks=3" in refused(toy_tokens)
    assert "did you mean model.layers" in refused(toy_tokens, "model.layer=2")
    assert "no multiple of 2 x 3 heads" in refused(toy_tokens, "model.heads=3")
    assert "no run to go on with" in refused(toy_tokens, "--resume")
    assert "vqcodec prior train --keys" in refused(toy_tokens, "zebra=2")
    assert str(tmp_path / "none") in refused(tmp_path / "none")
