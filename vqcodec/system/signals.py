"""Signals wait while a C library calls back into Python, where what they raise would be printed and lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Keep SIGINT, SIGTERM and SIGHUP until the end of the block, and heed the first of them then.

    For short blocks. In a thread that is not the main one, where Python handles no signals, this does nothing.
    """
    came: list[tuple[int, FrameType | None]] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        ends = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        handlers = {end: handler for end in ends if callable(handler := signal.getsignal(end))}
    for end in handlers:
        signal.signal(end, lambda end, frame: came.append((end, frame)))
    try:
        yield
    finally:
        for end, handler in handlers.items():
            signal.signal(end, handler)
        if came:
            end, frame = came[0]
            handlers[signal.Signals(end)](end, frame)
