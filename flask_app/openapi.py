"""Describes API v1 in OpenAPI 3.1. `GET /openapi.json` sends the description, `GET /docs` shows it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from kneeoa_hub import __version__
from kneeoa_hub.errors import FilmError, MissingExtra
from kneeoa_hub.grades import GRADES
from kneeoa_hub.report import DISCLAIMER

from .guards import CrossSite, KeyNeeded, TooManyRequests, UnknownHost
from .problems import HTTP_ERRORS, URN, UnsupportedRequest
from .queue import Busy
from .source import ModelUnavailable
from .uploads import FIELD, FORM, RAW_TYPES

REPORT_SCHEMA = Path(__file__).parent.parent / "docs" / "schemas" / "report.schema.json"
HERE = "http://127.0.0.1:8000"
IDENTITY = {
    "KneeOA-Model": {
        "description": "Name of the model that answers. Absent while no model is loaded.",
        "schema": {"type": "string"},
    },
    "KneeOA-Revision": {"description": "Its revision.", "schema": {"type": "string"}},
}
SAMPLES = {
    "grade": {
        "Shell": (
            f"curl --silent --form {FIELD}=@knee.png {HERE}/api/v1/grade",
            f"curl --silent --header 'Content-Type: image/png' --data-binary @knee.png {HERE}/api/v1/grade",
        ),
        "Python": (
            f"""import requests

with open("knee.png", "rb") as first, open("other.png", "rb") as second:
    films = [("{FIELD}", first), ("{FIELD}", second)]  # the field may be repeated
    answer = requests.post("{HERE}/api/v1/grade", files=films, timeout=60)
answer.raise_for_status()
for report in answer.json()["films"]:
    if "error" in report:
        print("failed:", report["error"]["detail"])
    elif report["refused"]:
        print("not graded:", report["refused"]["message"])
    else:
        print([(knee["side"], knee["grade"], knee["label"], knee["grade_set"]) for knee in report["knees"]])""",
        ),
    },
    "model": {
        "Shell": (f"curl --silent {HERE}/api/v1/model",),
        "Python": (
            f"""import requests

model = requests.get("{HERE}/api/v1/model", timeout=60).json()
print(model["model"], model["revision"])""",
        ),
    },
    "dicomReport": {
        "Shell": (
            (
                "curl --silent --fail --header 'Content-Type: application/dicom' --data-binary @knee.dcm --output"
                f" report.dcm {HERE}/api/v1/dicom/report"
            ),
        ),
        "Python": (
            f"""import requests

with open("knee.dcm", "rb") as film:
    answer = requests.post(
        "{HERE}/api/v1/dicom/report", data=film, headers={{"Content-Type": "application/dicom"}}, timeout=60
    )
answer.raise_for_status()
with open("report.dcm", "wb") as report:
    report.write(answer.content)""",
        ),
    },
}
"""Examples by operation and language. The tests run them."""


def problem_types() -> list[tuple[str, int, str]]:
    """Return code, status and meaning of every problem that the API may answer with."""
    kinds = [
        *_below(FilmError),
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


@cache
def document() -> dict[str, Any]:
    """Return the description as JSON values."""
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
        "paths": _paths(),
        "components": {"schemas": _schemas()},
    }


def _paths() -> dict[str, Any]:
    return {
        "/api/v1/grade": {
            "post": _operation(
                "grade",
                "Grade films",
                GRADE_WORDS,
                _films(many=True),
                {"200": _json("The films' reports.", "Answer")},
            )
        },
        "/api/v1/dicom/report": {
            "post": _operation(
                "dicomReport",
                "A structured report of a DICOM film",
                DICOM_WORDS,
                _films(many=False),
                {"200": DICOM_ANSWER},
            )
        },
        "/api/v1/model": {
            "get": _operation("model", "Which model answers", MODEL_WORDS, None, {"200": _json("The model.", "Model")})
        },
    }


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
                    "description": "Coverage level: the share of prediction sets meant to hold the reader's grade.",
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
DICOM_WORDS = (
    "Send one DICOM film. The answer is a Comprehensive SR (TID 1500) of the same study, to store beside the film. It"
    " takes over patient and study from the film."
)
MODEL_WORDS = "The answer has name, version and revision of the model, its grades, decision rule and input."
DICOM_ANSWER = {
    "description": "The structured report.",
    "headers": IDENTITY,
    "content": {"application/dicom": {"schema": {"type": "string", "contentMediaType": "application/dicom"}}},
}


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
    return operation | ({"requestBody": body} if body else {})


def _films(many: bool) -> dict[str, Any]:
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    field = {"type": "array", "items": binary, "minItems": 1, "maxItems": 50 if many else 1}
    form = {"schema": {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}}
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
