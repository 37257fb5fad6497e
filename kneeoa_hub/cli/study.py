"""The option `kneeoa grade --study`: the films of a study in an archive, and one answer for all of them."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import KneeOAError, OutputError, SettingsError
from ..settings import Settings

if TYPE_CHECKING:
    from ..archive.dicomweb import Service
    from ..report import FilmReport

WITHOUT = ("films", "out", "overlays", "report", "box")
"""Options that are about films by themselves."""


@dataclass(frozen=True)
class _Graded:
    content: bytes
    report: "FilmReport"


def run(arguments: argparse.Namespace) -> int:
    """Grade the study, write what was asked for, and return the exit code."""
    from ..archive.dicomweb import Service, parse_study
    from ..opening import from_pretrained
    from ..output.dicom import structured_report, to_bytes
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
    service = Service(url, _token(settings, url), settings.timeout, settings.dicomweb_ca)
    grader = from_pretrained(
        arguments.address, revision=arguments.revision, local_files_only=arguments.offline, level=arguments.level
    )
    faults: list[KneeOAError] = []
    graded = list(_graded(service, study, grader, faults))
    if not graded:
        raise faults[0]
    report = study_report([one.report for one in graded])
    write = write_json if arguments.json else write_csv if arguments.csv else write_table
    write([(study, report)], sys.stdout)
    _write(arguments, study, [one.content for one in graded], report)
    if arguments.store:
        service.store(to_bytes(structured_report([one.content for one in graded], report)))
        print(f"kneeoa: stored the report in the archive {service.host}.", file=sys.stderr)
    return 1 if faults else 0


def _token(settings: Settings, url: str) -> str:
    """Return the token where the address is on the host and port of KNEEOA_DICOMWEB, otherwise ""."""
    own = urlsplit(settings.dicomweb).netloc.lower()
    return settings.dicomweb_token if own and urlsplit(url).netloc.lower() == own else ""


def _graded(service: "Service", study: str, grader: Any, faults: list[KneeOAError]) -> Iterator[_Graded]:
    """Fetch and grade film by film; a film that fails goes to `faults` and is named on standard error."""
    from ..imaging.identity import read_identity
    from ..output.sidecars import tell_fault
    from ..study import check_patient

    patient = None
    for film in service.films(study):
        content = service.fetch(study, film)
        (answer,) = grader.grade_batch([content])
        if not isinstance(answer, KneeOAError):
            try:
                found = read_identity(content).patient
                patient = found if patient is None else patient
                check_patient(patient, found)
            except KneeOAError as error:
                answer = error
        if isinstance(answer, KneeOAError):
            tell_fault(film.instance, answer)
            faults.append(answer)
        else:
            yield _Graded(content, answer)


def _write(arguments: argparse.Namespace, study: str, films: list[bytes], report: "FilmReport") -> None:
    """Write what --dicom, --fhir and --hl7 ask for into their folders."""
    from ..output.dicom import structured_report, to_bytes
    from ..output.fhir import fhir_bundle, to_json
    from ..output.hl7 import hl7_message

    made: list[tuple[str, Path | None, Callable[[], bytes], str]] = [
        ("--dicom", arguments.dicom, lambda: to_bytes(structured_report(films, report)), "sr.dcm"),
        ("--fhir", arguments.fhir, lambda: to_json(fhir_bundle(films[0], report)), "fhir.json"),
        ("--hl7", arguments.hl7, lambda: hl7_message(films[0], report).encode(), "hl7"),
    ]
    for option, folder, make, suffix in made:
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{study}.{suffix}").write_bytes(make())
            except OSError as error:
                raise OutputError(f"{option} {folder} can't be written ({error.strerror}).") from None
