import pytest

from vqcodec.errors import ConfigError
from vqcodec.training.config import RunConfig, load_run_config


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
    ],
)
def test_a_bad_recipe_names_the_key_in_one_line(recipe, text, overrides, named):
    with pytest.raises(ConfigError, match=named) as caught:
        load_run_config(recipe(text), overrides)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_run_config(tmp_path / "none.yaml")


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
