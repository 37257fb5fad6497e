"""A result can be opened again and saved for a few minutes, and is then deleted."""

import csv
import io
import json
import re
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

import flask_app.results
from benchmarks.film_kinds import picture
from flask_app import create_app
from flask_app.presentation import LONGEST_SIDE, ShownFilm
from flask_app.results import KEPT_SECONDS, MOST_BYTES, ResultGone, Results
from flask_app.uploads import Upload
from kneeoa_hub import KneeGrader
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.output.tables import rows
from kneeoa_hub.settings import Settings

from ..support.flask_requests import URN, assert_problem, post, result_address, submit
from ..support.pictures import noise
from ..support.waiting import until


@pytest.fixture(scope="module")
def client(grader: KneeGrader) -> FlaskClient:
    return create_app(Settings(), grader).test_client()


def graded(grader: KneeGrader, film: bytes | np.ndarray, name: str = "film.png", number: int = 1) -> ShownFilm:
    content = film if isinstance(film, bytes) else film.tobytes()
    return ShownFilm.of(Upload(name, content), grader.grade(film, force=True), number)


def without_token(page: str) -> str:
    """Return a page without the tokens of its forms, which hold the time."""
    return re.sub(r'(name="csrf_token"[^>]*value=")[^"]*', r"\1", page)


def test_a_result_can_be_opened_again_and_saved_in_three_forms(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    page = post(
        client,
        "/",
        films["both-knees"].read_bytes(),
        b"no image",
        noise(),
        names=("knees.png", "text.txt", "noise.png"),
    )
    place = result_address(page.text)
    assert without_token(client.get(place).text) == without_token(page.text)
    saved = client.get(f"{place}/report.json")
    assert "attachment; filename=kneeoa-films.json" in saved.headers["Content-Disposition"]
    first, second, third = json.loads(saved.text)
    assert first == {"name": "knees.png", **grader.grade(films["both-knees"]).to_dict()}
    assert second["error"]["type"] == URN + "film-unsupported"
    assert third["refused"]["reason"] == "not-a-knee"
    rows = list(csv.DictReader(io.StringIO(client.get(f"{place}/report.csv").text)))
    assert [row["film"] for row in rows] == ["knees.png", "knees.png", "text.txt", "noise.png"]
    assert [row["grade"] for row in rows[:2]] == [str(knee["grade"]) for knee in first["knees"]]
    pdf = client.get(f"{place}/report.pdf")
    assert (pdf.mimetype, pdf.data[:5]) == ("application/pdf", b"%PDF-")
    assert pdf.data.count(b"/Type /Page\n") == 3


def test_one_film_of_many_can_be_saved_alone(client: FlaskClient, films: dict[str, Path]):
    place = result_address(
        post(client, "/", films["mild"].read_bytes(), films["severe"].read_bytes(), names=("a.png", "b.png")).text
    )
    alone = client.get(f"{place}/report.json?film=2")
    assert json.loads(alone.text)["name"] == "b.png"
    assert "filename=kneeoa-film-2.json" in alone.headers["Content-Disposition"]
    assert client.get(f"{place}/report.json?film=3").status_code == 404


def test_the_boxes_of_a_large_film_are_in_its_own_pixels(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    pixels = np.kron(np.asarray(grader.grade(films["severe"]).film, np.float32), np.ones((4, 4), np.float32))
    film = graded(grader, pixels)
    assert film.report
    assert max(film.report.film.shape) == LONGEST_SIDE
    assert film.document["knees"][0]["box"] == list(grader.grade(pixels, force=True).knees[0].box)
    row = next(rows("film", film.measured))
    assert [row[edge] for edge in ("left", "top", "right", "bottom")] == film.document["knees"][0]["box"]
    left, top, right, bottom = film.report.knees[0].box
    assert 0 <= left < right <= film.report.film.shape[1]
    assert 0 <= top < bottom <= film.report.film.shape[0]


def test_a_name_that_a_spreadsheet_would_compute_is_made_inert(client: FlaskClient, films: dict[str, Path]):
    place = result_address(post(client, "/", films["mild"].read_bytes(), names=("=HYPERLINK(1).png",)).text)
    (row,) = csv.DictReader(io.StringIO(client.get(f"{place}/report.csv").text))
    assert row["film"] == "'=HYPERLINK(1).png"


@pytest.mark.parametrize("path", ["/results/nowhere", "/results/nowhere/report.pdf"])
def test_a_result_that_is_gone_says_so(client: FlaskClient, path: str):
    page = client.get(path)
    assert page.status_code == 404
    assert "The app deletes films 10 minutes after it has graded them" in page.text


def test_another_form_is_not_found(client: FlaskClient, films: dict[str, Path]):
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    assert client.get(f"{place}/report.docx").status_code == 404


def test_a_script_gets_the_result_s_address_or_the_problem(client: FlaskClient, films: dict[str, Path]):
    def send(*parts: bytes):
        data = {"film": [(io.BytesIO(part), "f.png") for part in parts]}
        return submit(client, "/", data, headers={"Accept": "application/json"})

    answer = send(films["mild"].read_bytes())
    assert answer.status_code == 201
    assert "Grade " in client.get(answer.get_json()["result"]).text
    assert_problem(send(b"no image"), 415, "film-unsupported")
    assert_problem(send(), 400, "no-film")
    assert client.get(send(b"no image", films["mild"].read_bytes()).get_json()["result"]).status_code == 200


def test_results_go_after_ten_minutes(grader: KneeGrader, films: dict[str, Path]):
    now = [0.0]
    results = Results(clock=lambda: now[0])
    first = results.keep([graded(grader, films["mild"].read_bytes())])
    now[0] = KEPT_SECONDS - 1
    second = results.keep([graded(grader, films["mild"].read_bytes())])
    assert results.get(first.key) is first
    now[0] = KEPT_SECONDS
    with pytest.raises(ResultGone):
        results.get(first.key)
    assert results.get(second.key) is second


def test_results_go_although_nobody_asks_for_any(
    grader: KneeGrader, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flask_app.results, "KEPT_SECONDS", 0.3)
    monkeypatch.setattr(flask_app.results, "MARGIN_SECONDS", 0)
    now = [0.0]
    results = Results(clock=lambda: now[0])
    film = graded(grader, films["mild"].read_bytes())
    first = weakref.ref(results.keep([film]))
    now[0] = 0.2
    second = weakref.ref(results.keep([film]))
    now[0] = 0.4
    until(lambda: first() is None)
    assert second() is not None
    now[0] = 0.6
    until(lambda: second() is None)


def test_names_and_documents_count_and_a_very_long_name_keeps_its_end(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    film = graded(grader, films["mild"].read_bytes())
    assert film.report
    one = Results().keep([film]).bytes
    assert Results().keep([replace(film, name="n" * 1_000_000)]).bytes > one + 990_000
    assert one > film.report.film.nbytes + len(json.dumps(film.document))
    page = post(client, "/", films["mild"].read_bytes(), b"x", names=("n" * 400_000, "m" * 5000 + ".png"))
    assert [one["name"] for one in client.get(f"{result_address(page.text)}/report.json").get_json()] == [
        "n" * 200,
        "m" * 196 + ".png",
    ]


def test_the_oldest_results_go_when_the_memory_for_them_is_full(grader: KneeGrader):
    rng = np.random.default_rng(0)
    film = graded(grader, rng.integers(0, 256, (LONGEST_SIDE, LONGEST_SIDE)).astype(np.uint8))
    results = Results()
    kept = [results.keep([film] * 16) for _ in range(6)]
    assert kept[0].bytes * 6 > MOST_BYTES
    room = MOST_BYTES // kept[0].bytes
    for result in kept[:-room]:
        with pytest.raises(ResultGone):
            results.get(result.key)
    assert [results.get(result.key) for result in kept[-room:]] == kept[-room:]


def test_keys_can_t_be_guessed(grader: KneeGrader):
    results = Results()
    keys = {results.keep([]).key for _ in range(100)}
    assert len(keys) == 100
    assert min(map(len, keys)) >= 22  # 128 bits in base64


def test_a_knee_is_shown_at_the_film_s_own_resolution(client: FlaskClient, grader: KneeGrader, films: dict[str, Path]):
    place = result_address(post(client, "/", films["both-knees"].read_bytes()).text)
    for number, knee in enumerate(grader.grade(films["both-knees"]).knees, 1):
        answer = client.get(f"{place}/films/1/knee-{number}.jpg")
        with Image.open(io.BytesIO(answer.data)) as picture:
            assert picture.size == (knee.box[2] - knee.box[0], knee.box[3] - knee.box[1])
    assert client.get(f"{place}/films/1/knee-3.jpg").status_code == 404


def boxes(*given: tuple[object, ...]) -> dict[str, list[object]]:
    """The fields of a form with these boxes."""
    return {edge: [box[number] for box in given] for number, edge in enumerate(("left", "top", "right", "bottom"))}


def test_a_film_is_graded_again_in_the_boxes_of_the_form(
    client: FlaskClient, grader: KneeGrader, films: dict[str, Path]
):
    film = films["both-knees"].read_bytes()
    place = result_address(post(client, "/", film, films["mild"].read_bytes(), names=("a.png", "b.png")).text)
    wanted = (440, 40, 760, 360)
    answer = submit(client, f"{place}/films/1/boxes", boxes(wanted, ("", "", "", "")))
    assert answer.status_code == 303
    assert answer.location.endswith("#film-1")
    first, second = json.loads(client.get(answer.location.split("#")[0] + "/report.json").text)
    assert first == {"name": "a.png", **grader.grade(film, [wanted]).to_dict()}
    assert second["name"] == "b.png"
    assert len(json.loads(client.get(f"{place}/report.json").text)[0]["knees"]) == 2  # the old result stays


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        (boxes(("", "", "", "")), 400, "bad-box"),
        (boxes((1, 2, "x", 4)), 400, "bad-box"),
        pytest.param(boxes((1, 2, "9" * 5000, 4)), 400, "bad-box", id="digits"),
        ({"left": ["1"]}, 400, "bad-box"),
        (boxes(*[(1, 2, 300, 300)] * 5), 400, "bad-box"),
        (boxes((1, 2, 3000, 300)), 422, "film"),
    ],
)
def test_an_invalid_box_is_a_problem(client: FlaskClient, films: dict[str, Path], fields, status, code):
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    headers = {"Accept": "application/json"}
    assert_problem(submit(client, f"{place}/films/1/boxes", fields, headers=headers), status, code)


def test_a_large_file_is_not_kept_so_its_page_has_no_boxes(
    client: FlaskClient, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("flask_app.presentation.MOST_KEPT", 1000)
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    assert "grade again" not in client.get(place).text
    assert submit(client, f"{place}/films/1/boxes", boxes((1, 2, 300, 300))).status_code == 404


def test_a_refused_film_is_graded_where_the_visitor_shows_the_knee(client: FlaskClient):
    place = result_address(post(client, "/", noise()).text)
    assert "Show where the knee is and grade again" in client.get(place).text


def test_no_box_is_asked_for_where_the_whole_film_is_refused(client: FlaskClient):
    page = post(client, "/", picture(knee_film(2, 7).pixels, "JPEG", quality=3)).text
    assert "compressed so strongly" in page
    assert "grade again" not in page


def test_visitors_see_no_advice_for_the_operator(
    grader: KneeGrader, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KNEEOA_MAX_PIXELS", "100000")
    small = KneeGrader(grader.bundle, threads=1)
    client = create_app(Settings(), small).test_client()
    for path in ("/", "/api/v1/grade"):
        answer = post(client, path, films["mild"].read_bytes())
        assert answer.status_code == 413
        assert "over 100000 pixels; send a smaller film." in answer.text
        assert "KNEEOA" not in answer.text
