"""One step of the loop, from the output of the step before: python -m tuning STEP --data PATH... --out DIR."""

import argparse
import sys
from pathlib import Path

from kneeoa_hub.escaping import CommandParser

from .commands import COMMANDS
from .commands.command import Command
from .run import console
from .run.extensions import load
from .run.memory import keep_freed_memory


def main(arguments: list[str] | None = None) -> int:
    """Run a step; returns 0, or 1 when it fails for a reason that the message gives, or 2 for a wrong option."""
    parsed = parser().parse_args(arguments)
    console.prepare()
    keep_freed_memory()

    def run() -> None:
        for file in parsed.extensions:
            with console.quiet_start():
                load(Path(file))
        print(parsed.run(parsed))

    return console.exit_code(run)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a subcommand for each step."""
    whole = CommandParser(
        prog="python -m tuning",
        description=__doc__,
        epilog="examples:\n" + "\n".join(f"  {command.example}" for command in COMMANDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    extension = "a Python file that adds a block, a loss, a backbone or a reader (docs/extending.md); repeatable"
    whole.add_argument("--with", dest="extensions", action="append", default=[], metavar="FILE", help=extension)
    steps = whole.add_subparsers(metavar="STEP", required=True)
    for command in COMMANDS:
        _add(steps, command)
    return whole


def _add(steps: "argparse._SubParsersAction[CommandParser]", command: Command) -> None:
    step = steps.add_parser(
        command.name,
        help=command.summary,
        description=command.summary,
        epilog=f"examples:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = "append" if command.several else "store"
    step.add_argument("--data", required=True, action=action, metavar="PATH", help=command.data)
    step.add_argument("--out", required=command.needs_out, metavar="DIR", help=command.out)
    command.add_options(step)
    step.set_defaults(run=command.run)


if __name__ == "__main__":
    sys.exit(main())
