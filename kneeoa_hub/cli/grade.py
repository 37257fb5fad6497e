"""Carries out the command `kneeoa grade`, which writes a table, lines or a file, and other outputs beside them."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KneeOAError, SettingsError
from ..escaping import escape_for_terminal
from ..settings import Settings, usable_cores
from . import dataset, study

if TYPE_CHECKING:
    from ..output.answer_file import AnswerFile
    from ..output.sidecars import DicomObjects
    from ..report import Answer
    from .processes import Opening

STANDARD_INPUT, STDIN_NAME = "-", "stdin"
"""The first text asks for the film on standard input. The second one names that film in answers."""
OBJECTS = ("dicom", "fhir", "hl7")
"""These options read a film again for its header."""
Answers = Iterable[tuple[str, Any]]
"""Each film's path comes with its report or its error."""


def run(arguments: argparse.Namespace) -> int:
    """Grade the films, write what was asked for, and return the exit code."""
    if arguments.engine == "ray":
        return dataset.run(arguments)
    if arguments.retry_failed:
        raise SettingsError("--retry-failed is for --engine ray; add that, or leave it out.")
    if arguments.study:
        return study.run(arguments)
    if not arguments.films or arguments.store:
        raise SettingsError("give films or folders to grade, or a study of an archive with --study (and --store).")
    from ..hub.pull_push import pull_bundle, revision_of
    from ..opening import loading
    from .processes import Opening

    films = _films(arguments)
    if arguments.box and len(films) > 1:
        raise SettingsError(f"--box is about one film, and {len(films)} were given; grade that film by itself.")
    folders = {f"--{name}": getattr(arguments, name) for name in ("overlays", *OBJECTS)}
    beside = bool(any(folders.values()) or arguments.report)
    if beside:  # what a grading needs is loaded while its network is opened, so nothing of it is loaded here
        from ..output.sidecars import check_places

        check_places(folders=folders, report=arguments.report, films=len(films))
    workers = min(arguments.workers or usable_cores(), len(films))
    with loading():
        bundle = pull_bundle(arguments.address, revision=arguments.revision, local_files_only=arguments.offline)
    level = bundle.config.conformal.at(arguments.level).level
    opening = Opening(bundle, revision_of(bundle.folder), level, beside)
    file = _answer_file(opening, arguments.out) if arguments.out else None
    left = [film for film in films if file is None or film not in file.done]
    if arguments.report and len(left) < len(films):
        raise SettingsError(
            f"--report would lack {len(films) - len(left)} of the films, which {arguments.out} already holds; give"
            " another --out, or none."
        )
    if len(left) < len(films) and any(folders.values()):
        print(
            f"kneeoa: {escape_for_terminal(arguments.out)} already holds {len(films) - len(left)} of the films; this"
            f" run writes no {', '.join(name for name, folder in folders.items() if folder)} for them.",
            file=sys.stderr,
        )
    asked = any(folders[f"--{name}"] for name in OBJECTS)
    names = _named(left)
    answers: Answers = zip(names, _graded(opening, left, arguments, workers), strict=True)
    within = _within(films, arguments.films) if beside or not file else {}
    shown = _shown(names, within)
    objects = None
    if beside:
        from ..output.sidecars import DicomObjects, places_of

        places = places_of(_named(films), within)
        objects = DicomObjects(arguments.dicom, arguments.fhir, arguments.hl7, places) if asked else None
        answers = _with_sidecars(answers, arguments, objects, shown, places)
    failed = _write(answers, file, len(films), len(left)) if file else _print(answers, arguments, shown, len(left))
    return 1 if failed or (objects and objects.failed) else 0


def _answer_file(opening: "Opening", out: str) -> "AnswerFile":
    from ..output.answer_file import AnswerFile

    return AnswerFile(Path(out), opening.revision, opening.level)


def _films(arguments: argparse.Namespace) -> list[str]:
    """Return the paths of the films, and print what the folders hold that is left out."""
    from ..imaging.folders import films_of

    films, notes = films_of(arguments.films)
    if STANDARD_INPUT in films and not sys.stdin:  # a shell may close it (<&-)
        raise SettingsError("standard input is closed; give the film as a file, or as: kneeoa grade - < FILM")
    for note in notes:
        print(f"kneeoa: {escape_for_terminal(note)}", file=sys.stderr)
    for film in films if any(getattr(arguments, name) for name in OBJECTS) else ():
        if film == STANDARD_INPUT or (os.path.exists(film) and not os.path.isfile(film)):
            raise SettingsError(
                f"{film} can be read only once, as a pipe is, but --dicom reads a film twice; give it as a file."
            )
    return films


def _named(films: Iterable[str]) -> list[str]:
    """Return what answers call the films."""
    return [STDIN_NAME if film == STANDARD_INPUT else film for film in films]


def _graded(
    opening: "Opening", films: Sequence[str], arguments: argparse.Namespace, workers: int
) -> "Iterator[Answer]":
    """Return the answer for each film; standard input is read when its turn comes."""
    from .processes import WORTH_IT, grade_in_processes

    given = (_from_standard_input() if film == STANDARD_INPUT else film for film in films)
    if workers > 1 and len(films) >= WORTH_IT:
        return grade_in_processes(opening, given, workers, arguments.force)
    # Many films keep the cores busier than many threads of one film.
    grader = opening.grader(threads=1 if workers > 1 else 0, wait=len(films) != 1)
    boxes = [arguments.box] * len(films)
    return grader.grade_batch(given, boxes=boxes, workers=workers, force=arguments.force)


def _from_standard_input() -> bytes:
    """Return a film.

    If the input is longer than a film may be, one byte more comes back, so that the film is refused.
    """
    return sys.stdin.buffer.read(Settings.from_environ().max_bytes + 1)


def _with_sidecars(
    answers: Answers,
    arguments: argparse.Namespace,
    objects: "DicomObjects | None",
    shown: Mapping[str, str],
    places: Mapping[str, str],
) -> Answers:
    """Return the same answers, with overlays, DICOM objects and a report written as they pass."""
    from ..output.sidecars import with_overlays, with_report

    if arguments.overlays:
        answers = with_overlays(answers, arguments.overlays, places)
    if objects:
        answers = objects.beside(answers)
    if arguments.report:
        answers = with_report(answers, arguments.report, shown)
    return answers


def _print(answers: Answers, arguments: argparse.Namespace, shown: Mapping[str, str], count: int) -> int:
    """Print the answers, and return how many films failed."""
    from ..output.tables import write_csv, write_json, write_table

    if count > 1 and not sys.stdout.isatty():  # on a terminal the answers themselves show the progress
        answers = _with_progress(answers, count)
    if not arguments.json and not arguments.csv:
        width = max(map(len, shown.values()), default=0)
        return write_table(((shown[film], answer) for film, answer in answers), sys.stdout, width)
    if sys.stdout.isatty():  # there the names are read, and not taken for paths
        answers = ((escape_for_terminal(film), answer) for film, answer in answers)
    return (write_json if arguments.json else write_csv)(answers, sys.stdout)


def _shown(films: Sequence[str], within: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each film in answers: its path within the given folder, or the whole path if two are alike."""
    shown = {film: within.get(film, film) for film in films}
    return shown if len(set(shown.values())) == len(shown) else {film: film for film in films}


def _within(films: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return the path of each film that was found in a folder, within that folder."""
    folders = [folder for folder in given if os.path.isdir(folder)]
    themselves = set(given)
    return {
        film: str(Path(film).relative_to(folder))
        for film in films
        if film not in themselves
        for folder in reversed(folders)  # of several folders the first counts
        if Path(film).is_relative_to(folder)
    }


def _write(answers: Answers, file: "AnswerFile", asked: int, left: int) -> int:
    """Write the answers to the file, print a summary, and return how many films failed."""
    failed = file.write(_with_faults(_with_progress(answers, left)))
    before = f", {asked - left} were there before" if asked > left else ""
    print(
        f"{escape_for_terminal(str(file.path))}: {left} film{'s' * (left != 1)}{before}, {failed} failed.",
        file=sys.stderr,
    )
    return failed


def _with_faults(answers: Answers) -> Answers:
    """Return the same answers, and print why a film failed as it passes."""
    from ..output.sidecars import tell_fault

    for film, answer in answers:
        if isinstance(answer, KneeOAError):
            tell_fault(film, answer)
        yield film, answer


def _with_progress(answers: Answers, count: int) -> Answers:
    """Return the same answers, with a progress bar on a terminal."""
    from tqdm import tqdm  # the Hub's client depends on it

    return tqdm(answers, total=count, unit="film", disable=None, file=sys.stderr)
