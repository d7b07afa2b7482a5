"""Templates of command lines: `encode {in} {bits}; decode {bits} {out}`. Words, not a shell's language.

{in} is the wave to code, {bits} the coded file, {out} the decoded wave, {rate} the waves' rate in Hz, {kbps} and {bps}
the rate of the codec.
"""

import re
import shlex
from collections.abc import Mapping

from vqcodec.errors import ConfigError

RATE_NAMES = frozenset({"kbps", "bps"})
_NAMES = RATE_NAMES | {"in", "bits", "out", "rate"}
_EXAMPLE = "'encode {in} {bits}; decode {bits} {out}'"


def parse_template(template: str) -> tuple[list[str], list[str]]:
    """Return the words of the two commands. Raises ConfigError for what is no template."""
    lexer = shlex.shlex(template, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == ";":
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError as error:
        raise ConfigError(f"{template!r} is no command line ({error}); give {_EXAMPLE}") from None
    if len(commands) != 2 or not all(commands):
        raise ConfigError(f"{template!r} is not two commands; give {_EXAMPLE}")
    for command, needed in zip(commands, (("in", "bits"), ("bits", "out")), strict=True):
        _check(command, needed)
    return commands[0], commands[1]


def names_in(command: list[str]) -> set[str]:
    """Find what stands in braces."""
    return {name for word in command for name in re.findall(r"\{(\w+)\}", word)}


def filled(command: list[str], settings: Mapping[str, str]) -> list[str]:
    """Return the command with a text for each name; one word stays one word."""
    return [re.sub(r"\{(\w+)\}", lambda found: settings[found[1]], word) for word in command]


def _check(command: list[str], needed: tuple[str, ...]) -> None:
    names, line = names_in(command), " ".join(command)
    for name in needed:
        if name not in names:
            raise ConfigError(f"the command {line!r} lacks {{{name}}}; give {_EXAMPLE}")
    for name in sorted(names - _NAMES):
        raise ConfigError(f"the command {line!r} has {{{name}}}, which is none of {', '.join(sorted(_NAMES))}")
