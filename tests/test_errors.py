"""Errors that name a remedy name one that exists."""

import re
import tomllib
from pathlib import Path

from vqcodec.errors import how_to_install

ROOT = Path(__file__).parents[1]
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "vqcodec").rglob("*.py")}


def test_every_extra_that_an_error_names_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for text in SOURCES.values() for extra in re.findall(r"how_to_install\(['\"](.*?)['\"]\)", text)}
    assert len(named) >= 8
    assert named <= set(extras)


def test_the_remedy_is_formed_in_one_place_and_is_what_the_page_on_installing_says():
    assert [path.name for path, text in SOURCES.items() if "vqcodec[" in text or "'.[" in text] == ["errors.py"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for extra in ("", "train", "eval", "onnx"):
        assert how_to_install(extra).partition(" in ")[0] in page
