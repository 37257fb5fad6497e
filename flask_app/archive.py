"""Grades a study of an archive by its UID, over DICOMweb, for people with a key.

The archive is the one of the setting. No part of its address comes from a request, and no redirect is followed, so a
request cannot make the app ask another host.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from kneeoa_hub import FilmReport
from kneeoa_hub.archive.dicomweb import Service
from kneeoa_hub.errors import AddressError, ArchiveError, FilmError, MissingExtra, SettingsError
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.output.dicom import structured_report, to_bytes
from kneeoa_hub.report import Answer
from kneeoa_hub.settings import Settings
from kneeoa_hub.study import check_patient, study_report, without_pixels

from .keys import sign_in
from .presentation import ShownFilm
from .results import Result, Results
from .source import grade_films, source
from .turns import Places
from .uploads import Upload

EXTENSION = "kneeoa_archive"
MOST_STUDIES = 2
"""At most two studies are fetched and graded at once, since all films of a study are in memory."""
blueprint = Blueprint("archive", __name__, url_prefix="/archive")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchivePage:
    """Holds what the page needs.

    Attributes:
        service: The archive.
        keys: The names of people by the SHA-256 of their keys.
        max_bytes: Most bytes of all films of a study together.
        places: The places of the requests that fetch a study.
    """

    service: Service
    keys: Mapping[str, str]
    max_bytes: int
    places: Places = field(default_factory=lambda: Places(MOST_STUDIES, "Too many studies are being graded"))


def check(settings: Settings) -> None:
    """Raise SettingsError if anybody could fetch films of patients, or if a token would travel unencrypted."""
    if settings.dicomweb_token and not settings.dicomweb:
        raise SettingsError("KNEEOA_DICOMWEB_TOKEN is for the archive of KNEEOA_DICOMWEB; set that too, or unset it.")
    if settings.dicomweb and not settings.api_keys:
        raise SettingsError("KNEEOA_DICOMWEB needs KNEEOA_API_KEYS, the keys of those who may fetch a study; set it.")
    if settings.dicomweb:
        _service(settings).check()


def register(app: Flask, settings: Settings, keys: Mapping[str, str]) -> None:
    """Add the page to an app.

    Args:
        app: The Flask app.
        settings: Settings with the address of the archive.
        keys: The API keys as `read_keys` returns them.

    Raises:
        SettingsError: See `check`.
    """
    check(settings)
    app.extensions[EXTENSION] = ArchivePage(_service(settings), keys, app.config["MAX_CONTENT_LENGTH"])
    app.register_blueprint(blueprint)


@blueprint.before_request
def _sign_in() -> None:
    g.kneeoa_who = sign_in(_archive().keys)


@blueprint.get("")
def form() -> str:
    """Show the form for a study's UID."""
    return render_template("archive.html", host=_archive().service.host)


@blueprint.post("")
def grade() -> AnyResponse:
    """Fetch and grade the study of the form, store its report if that was asked for, and show the result."""
    study = request.form.get("study", "").strip()
    try:
        with _archive().places.place():
            result = _graded(study, "store" in request.form)
    except (AddressError, ArchiveError, FilmError, MissingExtra) as error:
        page = render_template("archive.html", host=_archive().service.host, error=error.plain)
        return Response(page, error.status)
    return redirect(url_for("pages.result", key=result.key), 303)


def _graded(study: str, store: bool) -> Result:
    archive = _archive()
    fetched = dict(enumerate(_fetch(archive, study), 1))
    shown = {number: _shown(number, b"", one) for number, one in fetched.items() if isinstance(one, ArchiveError)}
    films = {number: one for number, one in fetched.items() if isinstance(one, bytes)}
    reports: dict[int, FilmReport] = {}
    places, patient = iter(films.items()), ""

    def show(answer: Answer) -> ShownFilm:
        nonlocal patient
        number, film = next(places)
        if isinstance(answer, FilmReport):
            try:
                patient = check_patient(patient, read_identity(film).patient)
            except FilmError as error:
                return _shown(number, film, error)
            reports[number] = replace(answer, film=without_pixels(answer))
        return _shown(number, film, answer)

    shown |= zip(films, grade_films(source().get(), list(films.values()), show), strict=True)
    graded = [shown[number] for number in sorted(shown)]
    log.info("study graded", extra={"fields": {"who": g.kneeoa_who, "films": len(films), "store": store}})
    if not reports:
        return _results().keep(graded)
    report = study_report(list(reports.values()), numbers=list(reports))
    if store:
        archive.service.store(to_bytes(structured_report([films[number] for number in reports], report)))
    return _results().keep(graded, study=report.findings())


def _shown(number: int, film: bytes, answer: Answer) -> ShownFilm:
    return ShownFilm.of(Upload(f"Film {number} of the study", film), answer, number)


def _fetch(archive: ArchivePage, study: str) -> list[bytes | ArchiveError]:
    """Return the films of a study, or the reason why one did not come.

    Raises ArchiveError if they are larger together than a request may be, or if none came.
    """
    films: list[bytes | ArchiveError] = []
    size = 0
    for _, film in archive.service.fetch_all(study, archive.service.films(study)):
        films.append(film)
        size += len(film) if isinstance(film, bytes) else 0
        if size > archive.max_bytes:
            raise ArchiveError(f"The films of the study are over {archive.max_bytes} bytes together; grade them apart.")
    if not any(isinstance(one, bytes) for one in films):
        raise next(one for one in films if isinstance(one, ArchiveError))
    return films


def _service(settings: Settings) -> Service:
    if not settings.dicomweb.startswith(("http://", "https://")):
        raise SettingsError("KNEEOA_DICOMWEB is no address; give one such as https://archive.example/dicom-web.")
    return Service(
        settings.dicomweb, settings.dicomweb_token, settings.timeout, settings.dicomweb_ca, settings.max_bytes
    )


def _archive() -> ArchivePage:
    return current_app.extensions[EXTENSION]


def _results() -> Results:
    return current_app.extensions["kneeoa_results"]
