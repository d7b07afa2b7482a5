"""What libraries below print on standard error comes with the name of the file that it is about."""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

_lock = threading.Lock()


@contextlib.contextmanager
def named_stderr(name: str) -> Iterator[None]:
    """Put `name` in front of each line that is printed on the process's standard error meanwhile, as libmpg123 does."""
    with _lock, tempfile.TemporaryFile() as printed:
        try:
            sys.stderr.flush()
            standard = os.dup(2)
        except (OSError, AttributeError, ValueError):  # closed
            yield
            return
        try:
            os.dup2(printed.fileno(), 2)
            yield
        finally:
            os.dup2(standard, 2)
            os.close(standard)
            printed.seek(0)
            for line in printed.read().decode(errors="replace").splitlines():
                if line.strip():
                    print(f"{name}: {line.strip()}", file=sys.stderr)
