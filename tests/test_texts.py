"""JSON of others has limits of size, depth and digits, and nothing in the package reads it by another way."""

import json
import re
from pathlib import Path

import pytest

import vqcodec
from vqcodec.texts import parse_json, parse_object, parse_yaml, read_json_object

PACKAGE = Path(vqcodec.__file__).parent


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 200_000, '{"a":' * 200_000, "1" * 5000, "[" + "9" * 5000 + "]", b"\xff"]
)
def test_what_is_beyond_the_limits_is_a_value_error(text):
    with pytest.raises(ValueError, match="."):
        parse_json(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"a"'])
def test_what_is_no_object_is_a_value_error(text):
    with pytest.raises(ValueError, match="no JSON object"):
        parse_object(text)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": 1}))
    assert read_json_object(path, most_bytes=8) == {"a": 1}
    with pytest.raises(ValueError, match="more than 7 bytes"):
        read_json_object(path, most_bytes=7)


def test_an_endless_file_is_not_read():
    with pytest.raises(ValueError, match="more than 100 bytes"):
        read_json_object(Path("/dev/zero"), most_bytes=100)


def test_nothing_reads_json_by_another_way():
    others = [
        path for path in PACKAGE.rglob("*.py") if re.search(r"\bjson\.loads?\(", path.read_text(encoding="utf-8"))
    ]
    assert others == [PACKAGE / "texts.py"]


@pytest.mark.parametrize("text", ["steps: 5\nsteps: 6\n", "data:\n  a: 1\n  b: {x: 1, x: 2}\n", "[{a: 1, a: 1}]"])
def test_a_key_of_yaml_that_is_there_twice_is_refused(text):
    with pytest.raises(ValueError, match="it has the key '(steps|x|a)' twice"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["010", "-0_17", "00", "!!int '010'", "a: [1, 0777]"])
def test_a_number_of_yaml_to_the_base_8_is_refused(text):
    with pytest.raises(ValueError, match="to the base 8; write it to the base 10, or quote it"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["1:30", "a: 20:30.15", "[-1:00:00]", "1:30: x"])
def test_a_number_of_yaml_to_the_base_60_is_refused(text):
    with pytest.raises(ValueError, match="to the base 60"):
        parse_yaml(text)


def test_what_only_looks_like_such_a_number_is_what_it_is():
    values = {"a": "010", "b": 0, "c": 0.5, "d": 10.5, "e": 16, "f": "x:1", "g": "1:30"}
    assert parse_yaml("a: '010'\nb: 0\nc: 0.5\nd: 010.5\ne: 0x10\nf: x:1\ng: \"1:30\"") == values


def test_yaml_is_what_it_says_and_aliases_cost_no_more_than_their_text():
    assert parse_yaml("") is None
    assert parse_yaml("a: {x: 1}\nb: {x: 2}\nc: [1, 2]") == {"a": {"x": 1}, "b": {"x": 2}, "c": [1, 2]}
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 50))
    assert len(parse_yaml(bomb)) == 50
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_yaml("[" * 100_000)
