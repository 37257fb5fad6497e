"""Carries out `kneeoa grade --study`, which makes one report of the films of a study in an archive."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import KneeOAError, OutputError, SettingsError
from ..settings import Settings

if TYPE_CHECKING:
    from ..archive.dicomweb import Service
    from ..report import FilmReport

WITHOUT = ("films", "out", "overlays", "report", "box")
"""These options are about single films."""
OBJECTS = ("dicom", "fhir", "hl7")
"""These options write a report for other systems."""


@dataclass(frozen=True)
class _Graded:
    content: bytes
    report: "FilmReport"


def run(arguments: argparse.Namespace) -> int:
    """Grade the study, write what was asked for, and return the exit code."""
    from ..archive.dicomweb import Service, parse_study
    from ..opening import from_pretrained
    from ..output.dicom import structured_report, to_bytes
    from ..output.sidecars import check_places
    from ..output.tables import write_csv, write_json, write_table
    from ..study import study_report

    for name in WITHOUT:
        if getattr(arguments, name, None):
            given = "FILE" if name == "films" else f"--{name}"
            raise SettingsError(
                f"{given} is about films by themselves, and --study gives one answer; give one of both."
            )
    settings = Settings.from_environ()
    url, study = parse_study(arguments.study)
    token = _token(settings, url)
    if settings.dicomweb_token and not token:
        _say(f"KNEEOA_DICOMWEB_TOKEN goes to the archive of KNEEOA_DICOMWEB only, so not to {urlsplit(url).netloc}.")
    service = Service(url, token, settings.timeout, settings.dicomweb_ca, settings.max_bytes)
    folders = {f"--{name}": getattr(arguments, name) for name in OBJECTS}
    check_places(folders=folders, report=None)
    grader = from_pretrained(
        arguments.address,
        revision=arguments.revision,
        local_files_only=arguments.offline,
        level=arguments.level,
        threads=1 if (arguments.workers or 1) > 1 else 0,  # several films keep the cores busy
    )
    graded, faults = _graded(service, study, grader, arguments)
    report = study_report([one.report for one in graded]) if graded else None
    write = write_json if arguments.json else write_csv if arguments.csv else write_table
    write([*([(study, report)] if report else []), *faults.items()], sys.stdout)
    if report:
        films = [one.content for one in graded]
        _write(folders, study, films, report)
        if arguments.store:
            service.store(to_bytes(structured_report(films, report)))
            _say(f"stored the report in the archive {service.host}.")
    return 1 if faults else 0


def _token(settings: Settings, url: str) -> str:
    """Return the token if the address is on the host and port of KNEEOA_DICOMWEB, otherwise ""."""
    own = urlsplit(settings.dicomweb).netloc.lower()
    return settings.dicomweb_token if own and urlsplit(url).netloc.lower() == own else ""


def _graded(
    service: "Service", study: str, grader: Any, arguments: argparse.Namespace
) -> tuple[list[_Graded], dict[str, KneeOAError]]:
    """Fetch and grade the films of a study.

    Returns:
        The films that were graded, and the errors of the others by their UID.
    """
    from ..imaging.identity import read_identity
    from ..study import check_patient, without_pixels

    fetched = list(service.fetch_all(study, service.films(study)))
    faults: dict[str, KneeOAError] = {film.instance: one for film, one in fetched if isinstance(one, KneeOAError)}
    films = {film.instance: one for film, one in fetched if isinstance(one, bytes)}
    graded: list[_Graded] = []
    patient = ""
    answers = grader.grade_batch(films.values(), workers=arguments.workers or 1, force=arguments.force)
    for (film, content), answer in zip(films.items(), answers, strict=True):
        try:
            if isinstance(answer, KneeOAError):
                raise answer
            patient = check_patient(patient, read_identity(content).patient)
            graded.append(_Graded(content, replace(answer, film=without_pixels(answer))))
        except KneeOAError as error:
            faults[film] = error
    return graded, faults


def _write(folders: Mapping[str, Path | None], study: str, films: list[bytes], report: "FilmReport") -> None:
    """Write what --dicom, --fhir and --hl7 ask for into their folders."""
    from ..output.dicom import structured_report, to_bytes
    from ..output.fhir import fhir_bundle, to_json
    from ..output.hl7 import hl7_message

    made: dict[str, tuple[Callable[[], bytes], str]] = {
        "--dicom": (lambda: to_bytes(structured_report(films, report)), "sr.dcm"),
        "--fhir": (lambda: to_json(fhir_bundle(films[0], report)), "fhir.json"),
        "--hl7": (lambda: hl7_message(films[0], report).encode(), "hl7"),
    }
    for option, folder in folders.items():
        if folder:
            make, suffix = made[option]
            try:
                (folder / f"{study}.{suffix}").write_bytes(make())
            except OSError as error:
                raise OutputError(f"{option} {folder} can't be written ({error.strerror}).") from None


def _say(text: str) -> None:
    print(f"kneeoa: {text}", file=sys.stderr)
