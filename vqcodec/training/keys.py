"""The keys of a recipe: what there are, what they mean, and which one a wrong key was meant to be."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from vqcodec.models.architecture import ModelConfig

_OF_OTHER_TOOLS = {
    "levels": "finite_scalar makes its levels of codebook_size, a power of two, since a code is stored in whole bits",
}
"""Why a key that other toolkits have is none here, by its last part."""


@dataclass(frozen=True)
class Key:
    """One key: its dotted name, its default as JSON, and what it means."""

    name: str
    default: str
    meaning: str


def recipe_keys(config: BaseModel | ModelConfig, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of `config`, whose values are the defaults, and of its sections, in their order."""
    for name, meaning in _meanings(config):
        value = getattr(config, name)
        if isinstance(value, BaseModel | ModelConfig):
            yield from recipe_keys(value, f"{prefix}{name}.")
        else:
            yield Key(prefix + name, json.dumps(to_jsonable_python(value)), meaning)


def differing_keys(config: BaseModel, other: BaseModel) -> Iterator[tuple[str, str, str]]:
    """Yield each key that the two, of one kind, have other values for, with these as JSON."""
    for key, other_key in zip(recipe_keys(config), recipe_keys(other), strict=True):
        if key.default != other_key.default:
            yield key.name, key.default, other_key.default


def unknown_key(config: BaseModel, location: Sequence[int | str]) -> str | None:
    """Tell what the key at `location`, which `config` does not have, may have been meant as; None if it has it."""
    *sections, last = map(str, location)
    inside: Any = config
    for section in sections:
        inside = getattr(inside, section, None)
    if not isinstance(inside, BaseModel | ModelConfig) or last in (names := [name for name, _ in _meanings(inside)]):
        return None
    if last in _OF_OTHER_TOOLS:
        return f"no key: {_OF_OTHER_TOOLS[last]}"
    near = [name for name in names if name.startswith(last)] or difflib.get_close_matches(last, names, n=1)
    everywhere = [key.name for key in recipe_keys(config)]
    command = getattr(config, "keys_command", "vqcodec train --keys")
    # The right name in the wrong section is as frequent as a wrong name.
    elsewhere = [name for name in everywhere if name.rpartition(".")[2] == last]
    meant = elsewhere or [".".join([*sections, name]) for name in near]
    return "no key; " + (f"did you mean {' or '.join(meant)}?" if meant else f"{command} lists them")


def _meanings(config: BaseModel | ModelConfig) -> Iterator[tuple[str, str]]:
    """Names of the fields and what they mean; of a field that can only be some words, these as well."""
    if isinstance(config, ModelConfig):
        for entry in fields(config):
            yield entry.name, entry.metadata["meaning"]
        return
    for name, field in type(config).model_fields.items():
        words = [word for word in get_args(field.annotation) if isinstance(word, str)]
        yield name, "; ".join(part for part in (field.description, words and f"one of {', '.join(words)}") if part)
