"""What each command line of a step consists of, and what several of them share."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

FILMS = "folder, .zip, .tar or CSV of labelled films, as PATH or NAME=PATH; may be given several times"
FOLDER = "folder for what the step writes"
PRECISION_CHOICES = ("float32", "mixed_bfloat16", "auto")
"""--precision takes a precision of `training.plan.PRECISIONS`, or the word that has the fastest one measured."""
PRECISION_HELP = "mixed_bfloat16 is faster on some hardware; auto times a few steps of each way first (default float32)"


@dataclass(frozen=True)
class Command:
    """A command is a subcommand of `python -m tuning`.

    Attributes:
        name: Name of the step.
        summary: What the step does, in one line.
        example: A command line to copy.
        data: Help for --data.
        add_options: Adds the step's own options to its parser.
        run: Runs the step with the parsed options; return the line that is printed at the end.
        out: Help for --out.
        several: Whether --data may be given several times.
        needs_out: Whether --out must be given.
    """

    name: str
    summary: str
    example: str
    data: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str]
    out: str = FOLDER
    several: bool = False
    needs_out: bool = True
