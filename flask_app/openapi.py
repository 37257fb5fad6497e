"""Describes API v1 in OpenAPI 3.1. `GET /openapi.json` sends the description, `GET /docs` shows it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from kneeoa_hub import __version__
from kneeoa_hub.errors import FilmError, MissingExtra
from kneeoa_hub.grades import GRADES
from kneeoa_hub.imaging.boxes import MOST_BOXES
from kneeoa_hub.report import DISCLAIMER

from . import boxes
from .api_samples import HERE, SAMPLES
from .guards import CrossSite, TooManyRequests, UnknownHost
from .keys import KeyNeeded
from .problems import HTTP_ERRORS, URN, UnsupportedRequest
from .source import ModelUnavailable
from .turns import Busy
from .uploads import FIELD, FORM, RAW_TYPES

REPORT_SCHEMA = Path(__file__).parent.parent / "docs" / "schemas" / "report.schema.json"
IDENTITY = {
    "KneeOA-Model": {
        "description": "Name of the model that answers. Absent while no model is loaded.",
        "schema": {"type": "string"},
    },
    "KneeOA-Revision": {"description": "Its revision.", "schema": {"type": "string"}},
}


def problem_types() -> list[tuple[str, int, str]]:
    """Return code, status and meaning of every problem that the API may answer with."""
    kinds = [
        *_below(FilmError),
        boxes.BadBox,
        UnsupportedRequest,
        ModelUnavailable,
        MissingExtra,
        Busy,
        CrossSite,
        KeyNeeded,
        TooManyRequests,
        UnknownHost,
    ]
    named = [(kind.code, kind.status, (kind.__doc__ or "").split("\n")[0]) for kind in kinds]
    return [*named, *((code, status, detail) for status, (code, detail) in HTTP_ERRORS.items())]


KEY = "key"
"""This name stands for the scheme by which a program shows its API key."""


def document(here: str = HERE, *, key_needed: bool = False) -> dict[str, Any]:
    """Return the description as JSON values.

    Args:
        here: The address of the app in the examples.
        key_needed: Whether each call needs an API key.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KneeOA API",
            "version": "1",
            "summary": "Kellgren-Lawrence grades of knee radiographs.",
            "description": (
                f"{DISCLAIMER} The server keeps a film in memory for one answer. It runs kneeoa_hub {__version__}."
            ),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{KEY: []}] if key_needed else [{}, {KEY: []}],
        "paths": _paths(here),
        "components": _components(),
    }


def _paths(here: str) -> dict[str, Any]:
    one = _films(many=False)
    operations = {
        "/api/v1/grade": _operation(
            "grade",
            "Grade films",
            GRADE_WORDS,
            _films(many=True),
            {"200": _json("The films' reports.", "Answer")},
        ),
        "/api/v1/overlay": _operation(
            "overlay", "A film with its grades drawn over it", OVERLAY_WORDS, one, {"200": OVERLAY_ANSWER}
        ),
        "/api/v1/dicom/report": _operation(
            "dicomReport", "A structured report of a DICOM film", DICOM_WORDS, one, {"200": DICOM_ANSWER}
        ),
        "/api/v1/dicom/secondary-capture": _operation(
            "secondaryCapture", "The overlay of a DICOM film as DICOM", CAPTURE_WORDS, one, {"200": CAPTURE_ANSWER}
        ),
        "/api/v1/model": _operation(
            "model", "Which model answers", MODEL_WORDS, None, {"200": _json("The model.", "Model")}
        ),
    }
    for operation in operations.values():
        for sample in operation["x-codeSamples"]:
            sample["source"] = sample["source"].replace(HERE, here)
    return {
        path: {"post" if "requestBody" in operation else "get": operation} for path, operation in operations.items()
    }


@cache
def _components() -> dict[str, Any]:
    key = {
        "type": "http",
        "scheme": "bearer",
        "description": (
            "An API key from the operator of the server, in the header Authorization: Bearer KEY. A server without"
            " keys answers everybody."
        ),
    }
    return {"schemas": _schemas(), "securitySchemes": {KEY: key}}


def _schemas() -> dict[str, Any]:
    return _report_schemas() | {
        "Answer": _object(
            {
                "films": {
                    "type": "array",
                    "items": {"anyOf": [_schema("Report"), _schema("FailedFilm")]},
                    "description": "One entry for each film, in the order of the request.",
                },
                "model": {"type": "string"},
                "revision": {"type": "string"},
            }
        ),
        "FailedFilm": _object({"error": _schema("Problem")}),
        "Problem": _object(
            {
                "type": {
                    "type": "string",
                    "enum": sorted({URN + code for code, _, _ in problem_types()}),
                    "description": "Stable within API v1.",
                },
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What the server received and what to do."},
            }
        ),
        "Model": _object(
            {
                "model": {"type": "string"},
                "version": {"type": "string"},
                "revision": {"type": "string"},
                "grades": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": len(GRADES),
                    "maxItems": len(GRADES),
                },
                "decision": {
                    "type": "string",
                    "description": "The rule that chooses one grade from five probabilities.",
                },
                "grade_set_level": {
                    "type": "number",
                    "description": "Coverage level: proportion of prediction sets meant to hold the reader's grade.",
                },
                "input": _object({"height": {"type": "integer"}, "width": {"type": "integer"}}),
            }
        ),
    }


GRADE_WORDS = (
    f"Send films in the field `{FIELD}` of a form, which may be repeated, or one film as the body. A refusal is an"
    " answer: status 200, with its reason in `refused`. When the only film cannot be graded, the answer is its problem."
    " Among several films the problem stands in the film's place."
)
BOXES = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[0-9]{1,9}(,[0-9]{1,9}){3}$"},
    "maxItems": MOST_BOXES,
    "description": (
        "Where a knee lies in the only film: left, top, right and bottom in pixels, such as `40,60,340,380`. It may"
        " be repeated. Without it the knees are found."
    ),
}
DICOM_WORDS = (
    "Send one DICOM film. The answer is a Comprehensive SR (TID 1500) of the same study, to store beside the film. It"
    " takes over patient and study from the film."
)
MODEL_WORDS = "The answer has name, version and revision of the model, its grades, decision rule and input."
OVERLAY_WORDS = (
    "Send one film. The answer is the film at full size with box, grade and evidence of each knee. A film that is not"
    " graded is a problem with status 422, which says why."
)
CAPTURE_WORDS = (
    "Send one DICOM film. The answer is a Secondary Capture of the same study that shows the overlay and the words"
    " RESEARCH USE ONLY. A film that is not graded is a problem with status 422, which says why."
)


def _file(words: str, kind: str) -> dict[str, Any]:
    """Return the response that is a file."""
    content = {kind: {"schema": {"type": "string", "contentMediaType": kind}}}
    return {"description": words, "headers": IDENTITY, "content": content}


DICOM_ANSWER = _file("The structured report.", "application/dicom")
CAPTURE_ANSWER = _file("The secondary capture.", "application/dicom")
OVERLAY_ANSWER = _file("The overlay.", "image/png")


def _operation(
    name: str, summary: str, words: str, body: dict[str, Any] | None, answers: dict[str, Any]
) -> dict[str, Any]:
    statuses = (400, 401, 403, 413, 415, 422, 429, 500, 501, 503) if body else (400, 401, 500, 503)
    problems = {
        str(status): _json("A problem (RFC 9457).", "Problem", "application/problem+json") for status in statuses
    }
    samples = [
        {"lang": language, "source": source} for language, sources in SAMPLES[name].items() for source in sources
    ]
    operation = {
        "operationId": name,
        "summary": summary,
        "description": words,
        "responses": answers | problems,
        "x-codeSamples": samples,
    }
    where = {"name": boxes.FIELD, "in": "query", "description": BOXES["description"], "schema": BOXES}
    return operation | ({"parameters": [where], "requestBody": body} if body else {})


def _films(many: bool) -> dict[str, Any]:
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    field = {"type": "array", "items": binary, "minItems": 1, "maxItems": 50 if many else 1}
    form = {"schema": {"type": "object", "properties": {FIELD: field, boxes.FIELD: BOXES}, "required": [FIELD]}}
    return {
        "required": True,
        "content": {
            FORM: form,
            **{kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in RAW_TYPES},
        },
    }


def _json(words: str, name: str, kind: str = "application/json") -> dict[str, Any]:
    return {"description": words, "headers": IDENTITY, "content": {kind: {"schema": _schema(name)}}}


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _report_schemas() -> dict[str, Any]:
    """Return the schema of a report, with its parts beside it as OpenAPI requires."""
    report = json.loads(REPORT_SCHEMA.read_text("utf-8").replace("#/$defs/", "#/components/schemas/"))
    parts = report.pop("$defs")
    report.pop("$schema")
    return {"Report": report, **parts}


def _below(kind: type[FilmError]) -> list[type[FilmError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _below(below))]
