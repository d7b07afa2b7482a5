"""What tests of many commands share."""

import pytest
from click.testing import CliRunner

from vqcodec.cli import main


@pytest.fixture
def run():
    """Function: a command line, and what came of it, with the exit code that is wanted."""

    def call(*arguments, code=0, **kwargs):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="vqcodec", **kwargs)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return call
