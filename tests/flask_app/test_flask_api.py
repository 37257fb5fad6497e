"""API v1 as it is described: the description is valid, its examples run, and a fuzzer that reads it finds nothing."""

import io
import re
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from flask_app import create_app
from flask_app.api_samples import SAMPLES
from flask_app.openapi import document, problem_types
from kneeoa_hub import KneeGrader
from kneeoa_hub.settings import Settings

from ..support.dicom_films import ODD, changed, study
from ..support.flask_requests import URN, assert_problem, grade
from ..support.flask_serving import serving
from ..support.pictures import noise

HERE = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def app(grader: KneeGrader) -> Flask:
    app = create_app(Settings(), grader)
    app.extensions["kneeoa"].get()
    return app


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, operations in document()["paths"].items() for method in operations]
)
def test_a_fuzzer_that_reads_the_description_finds_nothing(app: Flask, path: str, method: str):
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from hypothesis.strategies import one_of
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method.upper()]
    modes = [
        operation.as_strategy(generation_mode=mode)
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    ]

    health_checks: list[HealthCheck] = [*HealthCheck]  # pyright: ignore[reportAssignmentType]  # its metaclass is untyped

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=health_checks)
    @given(case=one_of(modes if method == "post" else modes[:1]))
    def fuzz(case: schemathesis.Case) -> None:
        # No schema says which bytes are a film, so that most bodies that it allows are turned away is no fault. In a
        # form every value is bytes, so that one of another type is a film that cannot be read, in an answer of its own.
        case.call_and_validate(excluded_checks=[positive_data_acceptance, negative_data_rejection])

    fuzz()


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_a_body_that_is_a_film_is_graded_as_in_a_form(client: FlaskClient, films: dict[str, Path], kind: str):
    film = films["both-knees"].read_bytes()
    answer = client.post("/api/v1/grade", data=film, content_type=kind)
    assert answer.status_code == 200
    assert answer.get_json() == grade(client, film).get_json()


def test_an_empty_body_is_an_empty_film(client: FlaskClient):
    assert_problem(client.post("/api/v1/grade", data=b"", content_type="image/png"), 400, "film-empty")


def test_a_body_over_the_limit_is_rejected(grader: KneeGrader):
    client = create_app(Settings(max_bytes=10_000), grader).test_client()
    assert_problem(
        client.post("/api/v1/grade", data=bytes(100_000), content_type="image/png"), 413, "request-too-large"
    )


def test_a_dicom_film_is_answered_by_a_structured_report_of_its_study(client: FlaskClient):
    film = study()
    answer = client.post("/api/v1/dicom/report", data=film, content_type="application/dicom")
    assert (answer.status_code, answer.mimetype) == (200, "application/dicom")
    made, header = pydicom.dcmread(io.BytesIO(answer.data)), pydicom.dcmread(io.BytesIO(film))
    assert made.Modality == "SR"
    assert (made.StudyInstanceUID, made.PatientID) == (header.StudyInstanceUID, header.PatientID)


def test_an_odd_header_gives_a_report_or_the_name_of_what_is_wrong(client: FlaskClient):
    answer = client.post("/api/v1/dicom/report", data=study(**ODD), content_type="application/dicom")
    assert answer.status_code == 200
    assert pydicom.dcmread(io.BytesIO(answer.data)).PatientSex == ""
    for kind in (b"SQ", b"PN"):
        answer = client.post(
            "/api/v1/dicom/report",
            data=changed(study(), "PatientID", kind, b"KNEE 11 "),
            content_type="application/dicom",
        )
        assert_problem(answer, 415, "film-unsupported")
        assert "PatientID in the film's DICOM header is empty or malformed" in answer.get_json(force=True)["detail"]
        assert "KNEE 11" not in answer.text


def test_a_structured_report_needs_one_dicom_film(client: FlaskClient, films: dict[str, Path]):
    film = films["mild"].read_bytes()
    assert_problem(client.post("/api/v1/dicom/report", data=film, content_type="image/png"), 415, "film-unsupported")
    two = {"film": [(io.BytesIO(film), "a.dcm"), (io.BytesIO(film), "b.dcm")]}
    assert_problem(
        client.post("/api/v1/dicom/report", data=two, content_type="multipart/form-data"), 400, "one-film-only"
    )


@pytest.mark.parametrize("path", ["/api/v1/model", "/api/v1/nowhere", "/", "/health/live"])
def test_every_answer_carries_model_and_revision(client: FlaskClient, grader: KneeGrader, path: str):
    headers = client.get(path).headers
    assert (headers["KneeOA-Model"], headers["KneeOA-Revision"]) == (grader.model, grader.revision)


def test_answers_are_as_described(client: FlaskClient, films: dict[str, Path]):
    import jsonschema

    answer = grade(client, films["mild"].read_bytes(), b"", noise()).get_json()
    components = {"components": document()["components"]}
    jsonschema.validate(
        answer, {"$ref": "#/components/schemas/Answer"} | components, cls=jsonschema.Draft202012Validator
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**answer, "more": 1},
            {"$ref": "#/components/schemas/Answer"} | components,
            cls=jsonschema.Draft202012Validator,
        )


def test_every_route_of_the_api_is_described(app: Flask):
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods or ()
    }
    described = {(path, method) for path, operations in document()["paths"].items() for method in operations}
    assert {route for route in routes if route[1] not in ("head", "options")} == described


def test_the_page_of_the_api_shows_each_operation_example_and_problem(client: FlaskClient):
    page = client.get("/docs").text
    for path, operations in document()["paths"].items():
        assert path in page
        assert all(operation["summary"] in page for operation in operations.values())
    assert all(f"{URN}{code}" in page for code, _, _ in problem_types())
    samples = sum(len(sources) for languages in SAMPLES.values() for sources in languages.values())
    assert page.count("<pre") == samples + 1  # the example with a key
    assert page.count("<code>40,60,340,380</code>") == 4  # the routes that take a film take boxes
    assert "`" not in page
    assert "docs/" not in page  # no pointer to a file that the visitor has not
    assert "http://localhost/api/v1/grade" in page  # where the visitor has asked
    assert "8000" not in page
    assert re.findall(r"(?:src|href)=\"(?!/|#|data:)[^\"]*", page) == []


def test_the_examples_run(films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "knee.png").write_bytes(films["both-knees"].read_bytes())
    (tmp_path / "other.png").write_bytes(noise())
    (tmp_path / "knee.dcm").write_bytes(study())
    made = {}
    with serving() as (address, _):
        for name, languages in SAMPLES.items():
            for source in languages["Shell"]:
                done = subprocess.run(source.replace(HERE, address), shell=True, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                assert {"grade": '"side":"left"', "model": '"decision"'}.get(name, "") in done.stdout
                made[name] = _files_made(tmp_path)
            for source in languages["Python"]:
                exec(compile(source.replace(HERE, address), name, "exec"), {})
            assert _files_made(tmp_path) == made[name]
    assert made["overlay"] == {"overlay.png": (800, 400)}
    assert made["dicomReport"] == {"report.dcm": "SR"}
    assert made["secondaryCapture"] == {"secondary-capture.dcm": "OT"}
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[('right', ")
    assert printed[1].startswith("not graded: ")
    assert printed[2].startswith("kneeoa-cnn ")


def _files_made(folder: Path) -> dict[str, object]:
    """The files that an example has written, by name. They are removed from the folder."""
    made: dict[str, object] = {}
    for path in folder.iterdir():
        if path.stem == "overlay":
            with Image.open(path) as picture:
                made[path.name] = picture.size
        elif path.name in ("report.dcm", "secondary-capture.dcm"):
            made[path.name] = pydicom.dcmread(path).Modality
        else:
            continue
        path.unlink()
    return made


@pytest.mark.parametrize("path", ["/api/v1/overlay", "/api/v1/dicom/secondary-capture"])
def test_a_film_that_is_not_graded_has_no_overlay_and_the_problem_says_why(client: FlaskClient, path: str):
    film = study(np.full((300, 300), 90, np.uint16))
    answer = client.post(path, data=film, content_type="application/dicom")
    assert_problem(answer, 422, "film")
    assert "No knee was graded" in answer.get_json(force=True)["detail"]


def test_the_overlay_is_the_one_of_the_library(client: FlaskClient, grader: KneeGrader, films: dict[str, Path]):
    film = films["both-knees"].read_bytes()
    answer = client.post("/api/v1/overlay", data={"film": (io.BytesIO(film), "a.png")})
    assert answer.mimetype == "image/png"
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(grader.grade(film).overlay()))


def test_the_description_says_how_a_key_is_sent_and_whether_it_is_needed(grader: KneeGrader):
    for keys, security in (({}, [{}, {"key": []}]), ({"a" * 64: "archive"}, [{"key": []}])):
        settings = Settings(api_keys="keys" if keys else "")
        client = create_app(settings, grader, keys=keys).test_client()
        described = client.get("/openapi.json").get_json()
        assert described["security"] == security
        assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        page = client.get("/docs").text
        assert "Authorization: Bearer KEY" in page
        assert ("This server requires an API key" in page) == bool(keys)


def test_one_film_is_graded_in_the_boxes_of_the_request(client: FlaskClient, films: dict[str, Path]):
    film = films["mild"].read_bytes()

    def sent(box: list[str], *names: str) -> TestResponse:
        parts = [(io.BytesIO(film), name) for name in names]
        return client.post("/api/v1/grade", data={"film": parts, "box": box}, content_type="multipart/form-data")

    boxes = ["20,30,300,310", "40, 40, 310, 310"]
    given = sent(boxes, "a.png")
    assert [knee["box"] for knee in given.get_json()["films"][0]["knees"]] == [[20, 30, 300, 310], [40, 40, 310, 310]]
    raw = client.post(f"/api/v1/grade?box={boxes[0]}", data=film, content_type="image/png")
    assert [knee["box"] for knee in raw.get_json()["films"][0]["knees"]] == [[20, 30, 300, 310]]
    overlays = [
        client.post(f"/api/v1/overlay{where}", data=film, content_type="image/png").data
        for where in ("", f"?box={boxes[0]}")
    ]
    assert overlays[0] != overlays[1]
    for wrong in ("", "1,2,3", "a,2,3,4", f"{'9' * 5000},2,3,4"):
        assert_problem(sent([wrong], "a.png"), 400, "bad-box")
    assert "such as 40,60,340,380" in sent(["1,2,3"], "a.png").get_json()["detail"]
    several = sent(boxes, "a.png", "b.png")
    assert_problem(several, 400, "bad-box")
    assert "the request holds 2" in several.get_json()["detail"]
    assert_problem(sent(["0,0,9,9000"], "a.png"), 422, "film")
