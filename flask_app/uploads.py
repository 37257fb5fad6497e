"""The films of a request, as bytes in memory. A file's name is only shown back to its sender."""

from dataclasses import dataclass, field

from flask import request

from .problems import NoFilm, UnsupportedRequest

FIELD = "film"


@dataclass(frozen=True)
class Upload:
    """One film as it was sent. name: as the sender's browser gave it."""

    name: str
    content: bytes = field(repr=False)


def uploads() -> list[Upload]:
    """Every film of the request, in its order. Raises NoFilm or UnsupportedRequest."""
    if request.mimetype != "multipart/form-data":
        given = request.mimetype or "none"
        raise UnsupportedRequest(f"The content type is {given}; send multipart/form-data with each film in a part named {FIELD}.")
    # A browser sends one part without a name when no file was chosen.
    films = [Upload(file.filename, file.read()) for file in request.files.getlist(FIELD) if file.filename]
    if not films and FIELD in request.form:
        raise NoFilm(f"The field {FIELD} came as text; send a file, as in curl -F {FIELD}=@knee.png.")
    if not films:
        others = ", ".join(sorted({*request.files, *request.form} - {FIELD})[:5])
        seen = f" (received: {others})" if others else ""
        raise NoFilm(f"No film was sent{seen}; send at least one file in the field {FIELD}.")
    return films
