"""What is heard in a blind test: a codec at a rate, or what the page adds to it, told apart by its role.

A label cannot tell them apart: a codec may be called as the user likes, "original" too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ORIGINAL = "original"
"""The name of the hidden reference."""
ANCHOR = "3.5 kHz low-pass"
"""The name of the low anchor of ITU-R BS.1534-3."""
MID_ANCHOR = "7 kHz low-pass"
"""The name of its mid anchor."""

REFERENCE_ROLE, ANCHOR_ROLE, MID_ANCHOR_ROLE, CODEC_ROLE = "reference", "anchor", "mid_anchor", "codec"
NAMES = {REFERENCE_ROLE: ORIGINAL, ANCHOR_ROLE: ANCHOR, MID_ANCHOR_ROLE: MID_ANCHOR}
"""What is no codec, by its role."""


@dataclass(frozen=True)
class Stimulus:
    """What was heard: `codec` at `kbps_asked` under `condition`; role: one of `NAMES`, or CODEC_ROLE."""

    codec: str
    condition: str = ""
    kbps_asked: float | None = None
    role: str = CODEC_ROLE

    @property
    def name(self) -> str:
        """Return codec and rate; of a codec that has the name of a reference or anchor, that it is one."""
        name = self.codec if self.kbps_asked is None else f"{self.codec} @ {self.kbps_asked:g}"
        return f"{name} (a codec)" if self.role == CODEC_ROLE and self.codec in NAMES.values() else name


def parse_stimulus(row: Mapping[str, Any]) -> Stimulus:
    """Read what a page wrote. Raises KeyError, TypeError and ValueError for what no page writes.

    Pages of before wrote no roles; there the label tells.
    """
    if not isinstance(row, dict):
        raise TypeError(f"{row!r:.60} is no rendering")
    kbps, texts = row.get("kbps_asked"), (row["codec"], row.get("condition", ""))
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{texts!r:.60} are no texts")
    if kbps is not None and (type(kbps) not in (int, float) or not 0 < kbps < 1e6):
        raise ValueError(f"kbps_asked {kbps!r:.20} cannot be")
    roles = {name: role for role, name in NAMES.items()}
    role = row["role"] if "role" in row else roles.get(texts[0], CODEC_ROLE)
    if role not in (*NAMES, CODEC_ROLE):
        raise ValueError(f"the role {role!r:.20} is none of {', '.join((*NAMES, CODEC_ROLE))}")
    return Stimulus(*texts, kbps, role)
