"""The Flask app: pages for people, problem+json for programs, never a traceback."""

import io

import numpy as np
import pytest
from PIL import Image

from flask_app import create_app
from kneeoa_hub.settings import Settings


@pytest.fixture(scope="module")
def client(grader):
    return create_app(Settings(max_bytes=400_000), grader).test_client()


def film(path) -> tuple[io.BytesIO, str]:
    return io.BytesIO(path.read_bytes()), "film.png"


def test_the_api_answers_as_the_grader_does(client, grader, films):
    answer = client.post("/api/v1/grade", data={"film": [film(films["severe"]), film(films["sixteen-bit"])]})
    assert answer.status_code == 200
    assert answer.json["films"] == [grader.grade(films[name]).to_dict() for name in ("severe", "sixteen-bit")]
    assert (answer.json["model"], answer.json["revision"]) == (grader.model, grader.revision)


def test_a_bad_film_among_good_ones_is_reported_in_its_place(client, films):
    parts = [film(films["mild"]), (io.BytesIO(b"text"), "b.png"), film(films["mild"])]
    answer = client.post("/api/v1/grade", data={"film": parts})
    assert answer.status_code == 200
    assert ["error" in item for item in answer.json["films"]] == [False, True, False]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "film-empty"),
        (b"not a film", 415, "film-unsupported"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 50, 422, "film-damaged"),
        (b"0" * 1_000_000, 413, ""),
    ],
)
def test_one_bad_film_is_a_problem_with_its_status(client, content, status, code):
    answer = client.post("/api/v1/grade", data={"film": (io.BytesIO(content), "../../etc/passwd")})
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert code in answer.json["type"]
    assert "Traceback" not in answer.text


def test_a_refusal_is_an_answer(client):
    picture = io.BytesIO()
    Image.fromarray(np.full((300, 300, 3), (200, 30, 90), np.uint8)).save(picture, "PNG")
    picture.seek(0)
    answer = client.post("/api/v1/grade", data={"film": (picture, "photo.png")})
    assert answer.status_code == 200
    assert answer.json["films"][0]["refused"]["reason"] == "not-a-radiograph"


def test_pages_say_what_this_is_not_and_show_the_grade(client, grader, films):
    for address in ("/", "/about"):
        page = client.get(address)
        assert page.status_code == 200
        assert "not a medical device" in page.text.lower()
    result = client.post("/", data={"film": film(films["both-knees"])})
    assert result.status_code == 200
    assert grader.revision in result.text
    assert "Content-Security-Policy" in result.headers


def test_unknown_addresses_are_problems_for_programs_and_pages_for_people(client):
    assert client.get("/api/v1/nothing").content_type == "application/problem+json"
    assert client.get("/nothing").content_type.startswith("text/html")
    assert client.get("/api/v1/grade").status_code == 405


def test_health_says_ready_once_the_model_answers(client):
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200
