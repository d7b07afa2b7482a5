"""The door of sound: files and streams that users give and get, resampling to exact lengths, spectra.

No part that codes imports soundfile or soxr beside it; those that measure codecs, or train, also use them as they are.
A wave is [C, T] float32.
"""

from typing import Literal

OnTruncated = Literal["refuse", "take"]
"""What becomes of a file that is cut, or goes on where libsndfile stops."""
