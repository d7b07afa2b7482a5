import re
from pathlib import Path

import pytest

from vqcodec.errors import ConfigError
from vqcodec.training.config import RunConfig, load_resumed_config, load_run_config, validate
from vqcodec.training.keys import differing_keys, recipe_keys


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_an_empty_recipe_is_the_defaults(recipe):
    assert load_run_config(recipe("")) == RunConfig()


def test_overrides_reach_nested_keys_and_read_scientific_numbers(recipe):
    overrides = ["optimizer.learning_rate=1e-3", "data.train=[a, b]", "steps=7", "init=null"]
    config = load_run_config(recipe("optimizer: {clip_norm: 2}"), overrides)
    assert config.optimizer.learning_rate == 1e-3
    assert config.optimizer.clip_norm == 2
    assert config.data.train == ["a", "b"]
    assert config.steps == 7


@pytest.mark.parametrize(
    ("text", "value"), [("1_000", 1000), (".5", 0.5), ("1e-4", 1e-4), ("1.0e-4", 1e-4), ("'010'", 10), ("08", 8)]
)
def test_numbers_are_read_as_they_look(recipe, text, value):
    config = load_run_config(recipe(f"optimizer: {{weight_decay: {text}}}"))
    assert config.optimizer.weight_decay == value


@pytest.mark.parametrize(
    ("text", "overrides", "named"),
    [
        ("stepz: 3", [], "stepz"),
        ("loss: {mel: -1}", [], "loss.mel"),
        ("steps: many", [], "steps"),
        ("- a", [], "mapping"),
        ("a: [", [], "not YAML"),
        ("", ["steps"], "key=value"),
        ("", ["steps.x=1"], "steps"),
        ("steps: 1", ["steps.x=1"], "not a section"),
        ("model: {hop: 321}", [], "model.hop"),
        ("model: {channels: 0}", [], "channels"),
        ("model: {hop_length: 321}", [], "multiple"),
        ("model: {codebook_size: 1000}", [], "power of two"),
        ("loss: {mell: 1}", [], r"loss\.mell: no key; did you mean loss\.mel\?"),
        ("model: {hop: 320}", [], r"did you mean model\.hop_length\?"),
        ("clip_norm: 1", [], r"clip_norm: no key; did you mean optimizer\.clip_norm\?"),
        ("quantizer: {xyzzy: 1}", [], r"no key; vqcodec train --keys lists them"),
        ("steps: yes", [], "steps: yes, no, on, off, true and false are no numbers"),
        ("optimizer: {learning_rate: on}\nseed: off", [], "optimizer.learning_rate, seed: yes, no"),
        ("validate_codebooks: [1, true]", [], "validate_codebooks: yes, no"),
        ("steps: 010", [], "YAML takes 010 for a number to the base 8"),
        ("", ["data.segment_seconds=1:30"], "YAML takes 1:30 for a number to the base 60"),
        ("steps: 0o10", [], "steps: Input should be a valid integer"),
        ("steps: 2024-01-01", [], "steps: Input should be a valid integer"),
        ("steps: 1e3", [], "steps: Input should be a valid integer"),
        ("init: no", [], "init: Input should be a valid string"),
        ("model: {levels: [8, 5, 5, 5]}", [], "makes its levels of codebook_size, a power of two, since a code is sto"),
    ],
)
def test_a_bad_recipe_names_the_key_in_one_line(recipe, text, overrides, named):
    with pytest.raises(ConfigError, match=named) as caught:
        load_run_config(recipe(text), overrides)
    assert "\n" not in str(caught.value)


def test_every_key_has_a_meaning_and_a_default_that_can_be_given(recipe):
    keys = list(recipe_keys(RunConfig()))
    assert len(keys) > 90
    assert all(len(key.meaning) > 5 for key in keys), [key.name for key in keys if len(key.meaning) <= 5]
    assert load_run_config(recipe(""), [f"{key.name}={key.default}" for key in keys]) == RunConfig()
    meanings = {key.name: key.meaning for key in keys}
    assert meanings["optimizer.kind"].endswith("one of sgd, adam, adamw, muon")


def test_the_page_of_training_lists_the_keys():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (table,) = re.findall("<!-- keys -->\n(.*?)\n<!-- end keys -->", page, re.DOTALL)
    rows = [f"| `{key.name}` | `{key.default}` | {key.meaning} |" for key in recipe_keys(RunConfig())]
    assert table.splitlines() == ["| key | default | meaning |", "|---|---|---|", *rows]


@pytest.mark.parametrize(
    ("short", "kind"), [("fsq", "finite_scalar"), ("lfq", "lookup_free"), ("rvq", "ema"), ("simvq", "simvq")]
)
def test_kinds_have_the_names_of_papers(recipe, short, kind):
    assert load_run_config(recipe(f"model: {{codebook_kind: {short}}}")).model.codebook_kind == kind


def test_a_short_run_begins_sooner_unless_the_recipe_says_when(recipe):
    long, short = load_run_config(recipe("")), load_run_config(recipe("steps: 500"))
    assert (long.quantizer.start_step, long.quantizer.kmeans_batches) == (1000, 64)
    assert (long.optimizer.warmup_steps, long.discriminator.warmup_steps) == (200, 500)
    assert (short.quantizer.start_step, short.quantizer.kmeans_batches) == (50, 25)
    assert (short.optimizer.warmup_steps, short.discriminator.warmup_steps) == (50, 50)
    assert (long.optimizer.ema_decay, short.optimizer.ema_decay) == (0.999, 0.96)
    said = load_run_config(recipe("{steps: 500, quantizer: {start_step: 400}, optimizer: {warmup_steps: 300}}"))
    assert (said.quantizer.start_step, said.optimizer.warmup_steps) == (400, 300)
    assert validate(RunConfig, said.model_dump(), where="test") == said


def test_a_run_goes_on_with_its_own_config(tmp_path):
    own = RunConfig(steps=500, seed=3)
    (tmp_path / "config.json").write_text(own.model_dump_json())
    assert load_resumed_config(tmp_path) == (own, own)
    former, longer = load_resumed_config(tmp_path, ["steps=20000", "loss.mel=2"])
    assert former == own
    assert list(differing_keys(former, longer)) == [("loss.mel", "1.0", "2.0"), ("steps", "500", "20000")]
    assert longer.quantizer.start_step == 50, "which has passed"


@pytest.mark.parametrize(
    ("text", "why"), [(None, "no run to go on"), ("{", "not the config"), ("[]", "not the config")]
)
def test_a_run_without_a_config_is_one_line(tmp_path, text, why):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        load_resumed_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_run_config(tmp_path / "none.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "{a: " * 20_000, "steps: " + "9" * 5000, "steps: 2024-99-99", "steps: !!python/object:a.b {}"],
    ids=["lists", "maps", "digits", "date", "object"],
)
def test_yaml_beyond_the_limits_is_one_line(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"a\.yaml: not YAML") as error:
        load_run_config(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    path.write_text("steps: 9")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_run_config(path, [f"seed={text.removeprefix('steps: ')}"])


def test_aliases_that_stand_for_billions_are_told_of_in_a_short_line(tmp_path):
    path = tmp_path / "a.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]" for n in range(1, 12)]
    path.write_text("\n".join([*lines, "steps: *a11"]))
    with pytest.raises(ConfigError, match=r"a\.yaml: .*steps: Input should be a valid integer") as error:
        load_run_config(path)
    assert len(str(error.value)) < 5000


def test_a_recipe_without_an_end_is_not_read():
    with pytest.raises(ConfigError, match="not YAML .it has more than 1048576 bytes"):
        load_run_config("/dev/zero")
