"""The Flask app reveals no internals, and answers clearly when its model or its code fails."""

import logging
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

import flask_app.source
from flask_app import create_app
from flask_app.source import GraderSource, ModelUnavailable
from kneeoa_hub import KneeGrader
from kneeoa_hub.errors import BundleError, MissingExtra
from kneeoa_hub.settings import Settings

from ..support.flask_requests import assert_discreet, assert_problem, grade, post
from ..support.flask_serving import ROOT
from ..support.pictures import file


@pytest.fixture(scope="module")
def client(grader: KneeGrader) -> FlaskClient:
    return create_app(Settings(), grader).test_client()


def test_a_large_upload_is_neither_written_to_disk_nor_named_in_the_log(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    opened = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *args, **options: opened.append(args))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caplog.set_level(logging.DEBUG)
    film = file(Image.fromarray(np.random.default_rng(1).integers(0, 256, (1200, 1200), dtype=np.uint8)))
    name = "../../etc/DOE^JANE 1931-02-03.png"
    for path in ("/", "/api/v1/grade"):
        assert post(client, path, film, b"broken", names=(name, name)).status_code == 200
    assert opened == []
    assert list(tmp_path.iterdir()) == []
    assert "DOE" not in caplog.text


def test_an_unexpected_fault_is_logged_and_reveals_nothing_to_the_client(
    grader: KneeGrader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, films: dict[str, Path]
):
    def fail(films: object, **_: object) -> None:
        raise RuntimeError(f"{ROOT}/secret")

    client = create_app(Settings(), grader).test_client()
    client.get("/api/v1/model")
    monkeypatch.setattr(grader, "grade_batch", fail)
    assert_problem(grade(client, films["mild"].read_bytes()), 500, "internal")
    assert "POST /api/v1/grade failed" in caplog.text
    page = post(client, "/", films["mild"].read_bytes())
    assert page.status_code == 500
    assert_discreet(page.text)
    assert "secret" in caplog.text


def test_a_fault_of_the_model_while_grading_does_not_name_its_folder(
    grader: KneeGrader, monkeypatch: pytest.MonkeyPatch, films: dict[str, Path]
):
    client = create_app(Settings(), grader).test_client()
    monkeypatch.setattr(grader, "grade_batch", lambda films, **_: iter([BundleError(f"{ROOT}/model.onnx is damaged")]))
    assert_problem(grade(client, films["mild"].read_bytes()), 503, "model-unavailable")


def test_a_package_that_is_missing_is_named_and_is_no_fault_of_the_model(
    grader: KneeGrader, monkeypatch: pytest.MonkeyPatch, films: dict[str, Path]
):
    client = create_app(Settings(), grader).test_client()
    monkeypatch.setattr(grader, "grade_batch", lambda films, **_: iter([MissingExtra("DICOM films need pydicom")]))
    answer = grade(client, films["mild"].read_bytes())
    assert_problem(answer, 501, "missing-extra")
    assert "pydicom" in answer.text


def test_a_model_that_can_t_be_loaded_is_unavailable_and_its_reason_stays_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, films: dict[str, Path]
):
    client = create_app(Settings(model=str(tmp_path / "nowhere"))).test_client()
    response = grade(client, films["mild"].read_bytes())
    assert_problem(response, 503, "model-unavailable")
    assert response.headers["Retry-After"] == "30"
    assert str(tmp_path) not in response.text
    assert str(tmp_path) in caplog.text
    assert client.get("/").status_code == 200
    assert client.get("/health/live").get_json() == {"status": "live"}
    assert_problem(client.get("/health/ready"), 503, "model-unavailable")


def test_a_request_that_waits_too_long_for_a_loading_model_gets_503(
    grader: KneeGrader, monkeypatch: pytest.MonkeyPatch, films: dict[str, Path]
):
    monkeypatch.setattr(flask_app.source, "LOAD_SECONDS", 0.01)
    opening, opened = threading.Event(), threading.Event()

    def load() -> KneeGrader:
        opening.set()
        assert opened.wait(60)
        return grader

    app = create_app(Settings())
    app.extensions["kneeoa"] = source = GraderSource(load)
    source.warm()
    assert opening.wait(60)
    film = films["mild"].read_bytes()
    assert_problem(grade(app.test_client(), film), 503, "model-unavailable")
    opened.set()
    monkeypatch.setattr(flask_app.source, "LOAD_SECONDS", 60)
    assert grade(app.test_client(), film).status_code == 200


def test_a_failure_to_load_is_not_repeated_at_once_but_later(grader: KneeGrader, monkeypatch: pytest.MonkeyPatch):
    answers: list[KneeGrader | None] = [None, grader]
    tried = []

    def load() -> KneeGrader:
        tried.append(1)
        found = answers.pop(0)
        if found is None:
            raise BundleError("missing")
        return found

    source = GraderSource(load)
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            source.get()
    assert len(tried) == 1
    monkeypatch.setattr(flask_app.source, "RETRY_SECONDS", 0)
    assert source.get() is grader
    assert source.loaded is grader


def test_threads_that_come_together_load_the_model_once(grader: KneeGrader):
    tried = []
    source = GraderSource(lambda: tried.append(1) or grader)
    threads = [threading.Thread(target=source.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tried) == 1
