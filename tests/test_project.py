"""What surrounds the code says what is so: contributing, policy, security, changelog, citation, classifiers."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import vqcodec

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/policy.md", "docs/where.md")
PATH = r"`((?:vqcodec|tests|tools|recipes|docs)/[\w./-]+|[A-Z]+\.(?:md|cff)|pyproject\.toml)`"


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist_and_have_in_them_what_it_says(page):
    text = text_of(page)
    assert f"]({page})" in text_of("README.md")
    named = re.findall(PATH, text)
    assert len(named) >= 3
    for name in named:
        assert (ROOT / name).exists(), name
    for name, word in re.findall(rf"{PATH}[:,]? `(\w+)`", text):
        assert re.search(rf"\b{word}\b", text_of(name)), f"{name} has no {word}"
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_where_has_the_paths_that_contributing_promises():
    promised = text_of("CONTRIBUTING.md").split("## Adding something\n")[1].split("\n## ")[0]
    sections = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text_of("docs/where.md"), re.MULTILINE | re.DOTALL)
    kinds = ("a loss", "an option", "a format of tokens", "a codec under test", "a metric", "a quantizer", "an adapter")
    assert [title.lower().removesuffix(" of a command") for title, _ in sections] == list(kinds)
    assert all(kind in " ".join(promised.split()) for kind in kinds)
    for title, body in sections:
        assert len(re.findall(rf"{PATH} `\w+`", body)) >= 3, title


def test_the_sdist_takes_every_file_that_these_tests_read():
    listed = re.findall(r"^include (.+)$", text_of("MANIFEST.in"), re.MULTILINE)
    assert {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md"} <= set(" ".join(listed).split())


def test_the_commands_of_the_gate_exist():
    for name in re.findall(r"\./(tools/\w+)", text_of("CONTRIBUTING.md")):
        assert (ROOT / name).is_file(), name


def test_the_version_is_one():
    sections = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == vqcodec.__version__
    numbers = [[int(part) for part in version.split(".")] for version in sections]
    assert numbers == sorted(numbers, reverse=True)
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == vqcodec.__version__
    assert "version" in tomllib.loads(text_of("pyproject.toml"))["project"]["dynamic"]


def test_the_citation_is_what_the_format_asks_for():
    """The keys that Citation File Format 1.2.0 requires, and none that it does not know."""
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert set(citation) <= {
        *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
        *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
        *("repository-code", "title", "type", "url", "version"),
    }
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["license"] == tomllib.loads(text_of("pyproject.toml"))["project"]["license"]
    assert all(set(author) <= {"name", "given-names", "family-names", "orcid"} for author in citation["authors"])
    assert all(isinstance(word, str) for word in [*citation["keywords"], citation["version"]])


def test_classifiers_go_with_the_rest_of_the_project():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert len(set(project["classifiers"])) == len(project["classifiers"])
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert f">={pythons[0]}" == project["requires-python"]
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in pythons
    assert not any(line.startswith("License") for line in project["classifiers"]), "license is an SPDX expression"
    assert "Typing :: Typed" in project["classifiers"]
    assert (ROOT / "vqcodec" / "py.typed").read_bytes() == b""
