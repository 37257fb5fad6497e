"""Reads the films of a request into memory. The app shows a file's name to its sender and uses it for nothing else."""

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import cast

from flask import abort, current_app, request

from .problems import NoFilm, UnsupportedRequest

FIELD = "film"
FORM = "multipart/form-data"
NAME_CHARACTERS = 200
"""The app keeps the last 200 characters of a film's name."""
RAW_TYPES = (
    "application/dicom",
    "application/octet-stream",
    "image/bmp",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
)
"""The content types of a body that is one film. The decoder looks at the bytes alone."""


@dataclass(frozen=True)
class Upload:
    """One film as it was sent, with the name that the sender's browser gave it."""

    name: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def uploads() -> list[Upload]:
    """Return every film of a form in the order of its parts. Raises NoFilm or UnsupportedRequest."""
    if request.mimetype != FORM:
        raise UnsupportedRequest(f"The content type is {_given()}. Send {FORM} with each film in a part named {FIELD}.")
    # A browser sends one part without a name when no file was chosen.
    files = [file for file in request.files.getlist(FIELD) if file.filename]
    if len(files) > current_app.config["MAX_FILMS"]:
        abort(413)
    # read() would copy each
    films = [Upload((file.filename or "")[-NAME_CHARACTERS:], cast(BytesIO, file.stream).getvalue()) for file in files]
    if not films and FIELD in request.form:
        raise NoFilm(f"The field {FIELD} holds text. Send a file, as in curl -F {FIELD}=@knee.png.")
    if not films:
        others = ", ".join(sorted({*request.files, *request.form} - {FIELD})[:5])
        seen = f" (received: {others})" if others else ""
        raise NoFilm(f"The request holds no film{seen}. Send at least one file in the field {FIELD}.")
    return films


def contents() -> list[bytes]:
    """Return the films of a form, or the film that is the body. Raises NoFilm or UnsupportedRequest."""
    if request.mimetype == FORM:
        return [upload.content for upload in uploads()]
    if request.mimetype not in RAW_TYPES:
        raise UnsupportedRequest(
            f"The content type is {_given()}. Send {FORM} with each film in a part named {FIELD}, or one film as the"
            f" body with one of {', '.join(RAW_TYPES)}."
        )
    return [request.get_data(cache=False)]


def _given() -> str:
    return request.mimetype or "missing"
