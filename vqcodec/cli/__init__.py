"""The command line, one file per command. Heavy imports stay inside functions: --help needs no torch.

Exit codes: 0, 1 for bad input (every VqcodecError), 2 for wrong usage.
"""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click
from typing_extensions import override

from vqcodec import __version__
from vqcodec.cli.coding.convert import convert
from vqcodec.cli.coding.decode import decode
from vqcodec.cli.coding.encode import encode
from vqcodec.cli.coding.enhance import enhance
from vqcodec.cli.coding.import_codes import import_codes
from vqcodec.cli.coding.info import info
from vqcodec.cli.coding.page import page
from vqcodec.cli.coding.thin import thin
from vqcodec.cli.coding.verify import verify
from vqcodec.cli.common import shown
from vqcodec.cli.datasets.detokenize import detokenize
from vqcodec.cli.datasets.tokenize import tokenize
from vqcodec.cli.datasets.tokens import tokens
from vqcodec.cli.research.compare import compare
from vqcodec.cli.research.evaluate import evaluate
from vqcodec.cli.research.export import export
from vqcodec.cli.research.fit_entropy import fit_entropy
from vqcodec.cli.research.generate import generate
from vqcodec.cli.research.models import models
from vqcodec.cli.research.prior import prior
from vqcodec.cli.research.train import train
from vqcodec.errors import VqcodecError, unavailable
from vqcodec.system.plugins import VARIABLE, import_modules

_EXTRAS = {"train": "train", "evaluate": "eval", "compare": "eval", "tokens": "tokens", "prior": "train"}
"""What brings all that a command needs, of which other extras may have a part."""


class _Group(click.Group):
    """Turns our own errors into one line and exit code 1."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _unwound_by_signals():
                return super().invoke(ctx)
        except ImportError as error:
            if (remedy := unavailable(error, extra=_EXTRAS.get(ctx.invoked_subcommand or ""))) is None:
                raise
            raise click.ClickException(str(remedy)) from None
        except VqcodecError as error:
            raise click.ClickException(shown(str(error))) from None
        except BrokenPipeError:  # the reader of a pipe went away: click ends quietly
            raise
        except MemoryError:
            raise click.ClickException(
                "there is not enough memory; ask for less at once, such as a smaller batch"
            ) from None
        except OSError as error:
            raise click.ClickException(shown(_told(error))) from None


_REMEDIES = {
    errno.ENAMETOOLONG: "give a shorter name or path",
    errno.ELOOP: "give a path whose links lead somewhere",
    errno.EACCES: "allow it, or give another",
    errno.ENOSPC: "free some space",
    errno.EMFILE: "close files, or allow more (ulimit -n)",
}


def _told(error: OSError) -> str:
    """What the system says of a file, by its name, and what to do."""
    if error.filename is None or not error.strerror:
        return str(error)
    return "; ".join(filter(None, (f"{error.filename}: {error.strerror}", _REMEDIES.get(error.errno or 0))))


@contextlib.contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process as an exception would, so that no temporary file stays behind."""
    ends = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP
    heeded = [signal_number for signal_number in ends if signal.getsignal(signal_number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        heeded = []
    for signal_number in heeded:
        signal.signal(signal_number, lambda signal_number, _frame: sys.exit(128 + signal_number))
    try:
        yield
    finally:
        for signal_number in heeded:
            signal.signal(signal_number, signal.SIG_DFL)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Module with a quantizer, an adapter, a codec or a metric of one's own; several times for several.",
)
def main(modules: tuple[str, ...]) -> None:
    """Neural audio compression: speech at 0.5 to 6 kbps."""
    if modules:
        # For this process and those that it starts.
        os.environ[VARIABLE] = ",".join([*filter(None, [os.environ.get(VARIABLE)]), *modules])
        import_modules(modules)


for _command in (
    *(encode, decode, enhance, convert, info, verify, thin, models, import_codes, page),
    *(tokenize, detokenize, tokens, evaluate, compare),
    *(train, fit_entropy, export, prior, generate),
):
    main.add_command(_command)
