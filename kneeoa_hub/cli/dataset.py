"""Carries out `kneeoa grade --engine ray`, which grades an archive into Parquet files, on this machine or a cluster."""

import argparse
import sys

from ..errors import SettingsError
from ..escaping import escape_for_terminal

WITHOUT = ("box", "json", "csv", "overlays", "report", "dicom", "fhir", "hl7", "study", "store")
"""These options do not apply to an archive."""


def run(arguments: argparse.Namespace) -> int:
    """Grade the archive, print a summary, and return the exit code."""
    if not arguments.films or not arguments.out or arguments.out.lower().endswith((".csv", ".jsonl")):
        raise SettingsError("--engine ray needs films and a folder for Parquet files: kneeoa grade FILMS --out DIR.")
    if given := [f"--{name}" for name in WITHOUT if getattr(arguments, name)]:
        raise SettingsError(f"--engine ray knows no {' and no '.join(given)}; leave that out, or grade without Ray.")
    from ..dataset import grade_dataset

    done = grade_dataset(
        arguments.films,
        arguments.out,
        address=arguments.address,
        revision=arguments.revision,
        local_files_only=arguments.offline,
        level=arguments.level,
        force=arguments.force,
        workers=arguments.workers or None,
        retry_failed=arguments.retry_failed,
    )
    before = f", {done.films - done.graded} were there before" if done.films > done.graded else ""
    print(f"{escape_for_terminal(done.out)}: {done.graded} films{before}, {done.failed} failed.", file=sys.stderr)
    return 1 if done.failed else 0
