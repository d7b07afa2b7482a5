"""A server of one folder for this machine alone, so that a browser opens the page: it takes no page from a disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from vqcodec.errors import ConfigError

HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    """Files of the folder, with the types that browsers ask of modules and WebAssembly; nothing is printed."""

    extensions_map = {  # noqa: RUF012 - of the base class
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".vqc": "application/octet-stream",
    }

    @override
    def send_head(self) -> Any:
        """Refuse who asks by another name: a page of another site whose name leads to this machine."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self.send_error(403)
            return None
        return super().send_head()

    @override
    def end_headers(self) -> None:
        """Let the browser ask again for what may have been written anew."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def server_of(folder: Path, port: int) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """Yield a server of `folder` on the loopback interface and its address; `port` 0 takes any that is free.

    Raises ConfigError where the port is taken.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise ConfigError(f"port {port}: {error.strerror}; give another as --port, or 0 for any") from None
    with server:
        yield server, f"http://{HOST}:{server.server_port}/"
