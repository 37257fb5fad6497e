"""Forms of the Flask app that are forged, old, another visitor's, or sent again."""

import re
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import flask_app.forms
from flask_app import create_app
from kneeoa_hub import KneeGrader
from kneeoa_hub.settings import Settings

from ..support.flask_requests import assert_problem, post, result_address, submit, token_of

BY_SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def client(grader: KneeGrader, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(reader_db=f"sqlite:///{tmp_path / 'readings.db'}"), grader).test_client()


def sent(client: FlaskClient, token: str | None):
    return client.post("/", data={"sample": "mild"} | ({"csrf_token": token} if token else {}), headers=BY_SCRIPT)


def test_a_form_without_the_page_s_token_is_rejected(client: FlaskClient):
    token = token_of(client.get("/").text)
    for forged in (None, "", "nonsense", token[:-1], token.swapcase()):
        assert_problem(sent(client, forged), 400, "form-expired")
    page = client.post("/", data={"sample": "mild"})
    assert page.status_code == 400
    assert "Open the page again" in page.text
    assert sent(client, token).status_code == 201


def test_a_token_is_good_with_its_own_visitor_s_cookie_alone(client: FlaskClient):
    other = client.application.test_client()
    stolen = token_of(other.get("/").text)
    client.get("/")
    assert_problem(sent(client, stolen), 400, "form-expired")
    client.delete_cookie("kneeoa")
    assert_problem(sent(client, stolen), 400, "form-expired")


def test_a_token_grows_old(grader: KneeGrader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flask_app.forms, "TOKEN_SECONDS", -1)
    client = create_app(Settings(), grader).test_client()
    assert_problem(sent(client, token_of(client.get("/").text)), 400, "form-expired")


def test_a_clock_that_is_set_back_makes_no_open_form_useless(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    token = token_of(client.get("/").text)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert sent(client, token).status_code == 201


def test_a_reader_s_form_needs_the_token_too(client: FlaskClient, films: dict[str, Path]):
    place = result_address(post(client, "/", films["mild"].read_bytes()).text)
    assert client.post(f"{place}/readings", data={"reader": "r", "grade-1-0": "2"}).status_code == 400
    assert "No reader has graded" in client.get("/readings").text


def test_a_blind_grade_that_is_sent_again_after_the_answer_was_shown_changes_nothing(
    client: FlaskClient, films: dict[str, Path]
):
    page = submit(client, "/", {"film": [(films["severe"].open("rb"), "x.png")], "blind": "1"}, follow_redirects=True)
    place = re.search(r'action="(/results/[^"]+)/readings"', page.text)
    assert place
    blind = {"reader": "r", "before": "1", "grade-1-0": "1"}
    for _ in range(2):  # as a double click does
        assert submit(client, f"{place[1]}/readings", blind).status_code == 303
    assert client.get(place[1]).status_code == 200  # the result page
    for again in (blind, blind | {"grade-1-0": "4"}, blind | {"reader": "r2"}):
        assert_problem(submit(client, f"{place[1]}/readings", again, headers=BY_SCRIPT), 409, "already-shown")
    assert submit(client, f"{place[1]}/readings", {"reader": "r", "grade-1-0": "4"}).status_code == 303
    rows = [line.split(",")[1:6] for line in client.get("/readings.csv").text.splitlines()[1:]]
    assert [(grade, reader, before) for grade, _, _, reader, before in rows] == [("1", "r", "1"), ("4", "r", "0")]


@pytest.mark.parametrize("form", ["pdf", "json", "csv"])
def test_a_saved_report_shows_the_answers_too(client: FlaskClient, films: dict[str, Path], form: str):
    answer = submit(client, "/", {"film": [(films["severe"].open("rb"), "x.png")], "blind": "1"}, headers=BY_SCRIPT)
    place = answer.get_json()["result"].removesuffix("/read-first")
    client.get(f"{place}/report.{form}")
    assert submit(client, f"{place}/readings", {"reader": "r", "before": "1", "grade-1-0": "1"}).status_code == 409


def test_the_cookie_is_http_only_same_site_and_secure_under_tls(client: FlaskClient):
    (plain,) = client.get("/").headers.getlist("Set-Cookie")
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    for tls in ({"base_url": "https://localhost"}, {"headers": {"X-Forwarded-Proto": "https"}}):
        (cookie,) = client.application.test_client().get("/", **tls).headers.getlist("Set-Cookie")
        assert "; Secure; HttpOnly" in cookie


def test_instances_that_share_a_secret_accept_each_other_s_forms(grader: KneeGrader):
    first, second = (create_app(Settings(secret_key="k" * 64), grader).test_client() for _ in range(2))
    token = token_of(first.get("/").text)
    cookie = first.get_cookie("kneeoa")
    assert cookie
    second.set_cookie("kneeoa", cookie.value)
    assert sent(second, token).status_code == 201


def test_programs_need_no_token_and_get_no_cookie(client: FlaskClient, films: dict[str, Path]):
    answer = post(client, "/api/v1/grade", films["mild"].read_bytes())
    assert answer.status_code == 200
    assert not answer.headers.getlist("Set-Cookie")


def test_the_secret_is_not_in_the_repr_of_the_settings():
    assert "hidden" not in repr(Settings(secret_key="hidden"))
