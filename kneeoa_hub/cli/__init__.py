"""Runs the command line: kneeoa grade | pull | push | info | verify | card | list."""

import os
import sys
from collections.abc import Sequence

from ..errors import AddressError, KneeOAError, SettingsError
from ..escaping import escape_for_terminal
from ..settings import Settings
from ..third_party import prepare_streams
from .options import parser

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and print every error of the package as a line on standard error.

    Args:
        arguments: The words of the command line. None takes those of the process.

    Returns:
        The exit code: 0 all films were graded or refused, 1 a film failed, 2 usage, 130 interrupted.
    """
    prepare_streams()
    parsed = parser().parse_args(arguments)
    try:
        Settings.from_environ()  # also for a command that needs none: a misspelt one would not be in force
        code = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except (AddressError, SettingsError) as error:
        print(escape_for_terminal(f"kneeoa: {error.message}"), file=sys.stderr)
        return 2
    except KneeOAError as error:
        print(escape_for_terminal(f"kneeoa: {error.message}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # for example `kneeoa grade films | head`
        _drop_output()
        return 130
    except OSError as error:  # for example `kneeoa list > /dev/full`
        place = escape_for_terminal(str(error.filename or "the output"))
        print(
            f"kneeoa: {place} can't be written or read ({error.strerror}); make room or give access.", file=sys.stderr
        )
        _drop_output()
        return 1


def _drop_output() -> None:
    """Discard what is still buffered for standard output. It would fail again at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
