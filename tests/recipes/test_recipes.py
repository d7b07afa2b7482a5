"""Every recipe loads, and trains a few steps with its model at toy size."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import soundfile

import vqcodec
from vqcodec.models import zoo
from vqcodec.models.codec import Codec
from vqcodec.models.weights import save_weights
from vqcodec.training.config import load_run_config
from vqcodec.training.trainer import Trainer

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
CODECS = [recipe for recipe in RECIPES if recipe.stem != "prior"]  # which tests/tokens/prior trains


@pytest.mark.slow
@pytest.mark.parametrize("recipe", CODECS, ids=lambda path: path.stem)
def test_a_recipe_loads_and_trains(recipe, tmp_path, speech_path):
    spoken = tmp_path / "spoken.csv"
    spoken.write_text(f"file,speaker\n{speech_path},linda\n", encoding="utf-8")
    small = {
        "steps": 4,
        "model.channels": 16,
        "model.stft_channels": 8,
        "model.latent_dim": 8,
        "model.codebook_size": 16,
        "quantizer.start_step": 2,
        "quantizer.kmeans_batches": 2,
        "data.train": f"[{spoken}]",
        "data.valid": f"[{spoken}]",
        "data.batch_size": 2,
        "data.workers": 0,
        "validate_every": 100,
        "validate_codebooks": "[1]",
        "init": "null",
        "accelerator": "cpu",
    }
    if recipe.stem == "speakers":
        small["data.speaker_seconds"] = 1
    config = load_run_config(recipe, [f"{key}={value}" for key, value in small.items()])
    if config.discriminator.start_step is not None:
        change = {"start_step": 2, "warmup_steps": 1, "channels": 4}
        stage = config.discriminator.model_copy(update=change)
        config = config.model_copy(update={"discriminator": stage})
    if config.freeze or config.enhancer.channels:  # parts of weights that are there already
        init = tmp_path / "init.safetensors"
        save_weights(config.model, Codec(config.model).state_dict(), init)
        config = config.model_copy(update={"init": str(init)})
    assert Trainer(config, tmp_path / "run").fit().finished


SCRIPT = RECIPES[0].parent / "speech-16k.sh"


def lines(command):
    """The arguments of each line of the script that is this command."""
    for line in SCRIPT.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.strip().startswith(f"{command} "):
            yield shlex.split(line)[1:]


def stages():
    """Of the script: the name of each stage, its recipe and its own overrides."""
    for name, recipe, *overrides, rest in lines("stage"):
        assert rest == "$@"
        yield name, recipe, overrides


def test_every_stage_of_the_whole_training_goes_into_one_behind_it():
    before = {name: [] for name, _, _ in stages()} | {name: parts for name, *parts in lines("average")}
    for name, recipe, overrides in stages():
        init = load_run_config(SCRIPT.parent / f"{recipe}.yaml", overrides).init
        before[name] = [init.removeprefix("$runs/").removesuffix("/model.safetensors")] if init else []
    names = sorted(before, key=lambda name: int(name.split("-")[0]))
    assert len(list(stages())) >= 10
    for number, name in enumerate(names, 1):
        assert name.startswith(f"{number}-")
        assert set(before[name]) <= set(names[: number - 1])
        assert before[name] or number == 1
    ((*_, fitted),) = [line[: line.index("--out")] for line in lines("vqcodec fit-entropy")]
    assert fitted == f"$runs/{names[-1]}/model.safetensors"
    assert {part for parts in before.values() for part in parts} == set(names[:-1])


@pytest.mark.slow
def test_the_whole_training_runs_and_goes_on_where_it_was_interrupted(tmp_path, speech_path, bash):
    """At toy size: the loss falls, every codebook is in use, the weights at the end code speech.

    Three stages run: the first, the first with the last layer of the end, and the last. The others are the same command
    with other numbers, and have the weights of the one before them that ran as if they had been run.
    """
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("ljspeech.flac", "kerstin.flac"):
        shutil.copy(speech_path.parent / name, clips)
    overrides = [
        *("steps=150", "model.channels=24", "model.stft_channels=16", "model.latent_dim=16", "model.codebook_size=32"),
        *("model.total_codebooks=4", "model.encoder_blocks=1", "model.decoder_blocks=1", "model.decoder_stft_blocks=1"),
        *("quantizer.start_step=50", "quantizer.kmeans_batches=8", "data.batch_size=4", "data.workers=0"),
        *("data.segment_seconds=0.5", "optimizer.warmup_steps=10", "optimizer.ema_decay=0.9", "log_every=10"),
        *("validate_every=1000", "validate_codebooks=[1,4]"),
    ]
    recipes = {name: recipe for name, recipe, _ in stages()}
    first, *_, last = recipes
    middle = next(name for name, recipe in recipes.items() if recipe == recipes[last])
    ran = first
    for name in recipes:
        if name in (first, middle, last):
            ran = name
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "model.safetensors").symlink_to(tmp_path / ran / "model.safetensors")
    command = [SCRIPT, tmp_path, clips, speech_path, *overrides]

    def run(*more):
        done = bash(*command, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "speech-16k.safetensors").touch()  # the entropy model is fitted once, to what is trained to the end
    run("steps=100")
    for stage in (first, middle, last):
        rows = [json.loads(line) for line in (tmp_path / stage / "log.jsonl").read_text().splitlines()]
        steps = [row for row in rows if "perplexity" in row]
        assert all(value > 0.25 * 32 for value in steps[-1]["perplexity"]), stage
        losses = [row["mel"] for row in rows if "mel" in row]
        assert sum(losses[-3:]) < 0.8 * sum(losses[:3]) or stage != first
    means = [f"{name}/model.safetensors" for name, *_ in lines("average")]
    for name in (f"{last}/model.safetensors", means[-1], "speech-16k.safetensors"):
        (tmp_path / name).unlink()
    weights = run().splitlines()[-1]  # goes on with the last stage, from its step 100
    assert json.loads((tmp_path / last / "log.jsonl").read_text().splitlines()[-1])["step"] == 150
    model = zoo.load(weights)
    assert model.entropy is not None
    wave, rate_hz = soundfile.read(speech_path, dtype="float32")
    assert vqcodec.decompress(vqcodec.compress(wave, rate_hz, model=model), model=model)[0].shape == (1, len(wave))
