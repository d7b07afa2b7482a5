"""The door of sound: files and streams that users give and get, resampling to exact lengths, spectra.

No part that codes imports soundfile or soxr beside it; those that measure codecs, or train, also use them as they are.
A wave is [C, T] float32.
"""

from typing import Literal, get_args

from vqcodec.errors import ConfigError

OnTruncated = Literal["refuse", "take"]
"""What becomes of a file that is cut, or goes on where libsndfile stops."""


def checked_on_truncated(value: OnTruncated) -> OnTruncated:
    """Return `value`. Raises ConfigError for one that there is not, which would be neither refusing nor taking."""
    if value not in get_args(OnTruncated):
        raise ConfigError(f"on_truncated {value!r:.80} is none of {', '.join(get_args(OnTruncated))}")
    return value
