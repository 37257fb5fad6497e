"""Every bad or odd file, through the library, the API and the pages: a clear answer, never a fault."""

import json

import pytest
from flask.testing import FlaskClient

from flask_app import create_app
from kneeoa_hub import FilmReport, KneeGrader
from kneeoa_hub.errors import FilmError
from kneeoa_hub.settings import Settings

from ..support.bad_films import odd, unreadable
from ..support.flask_requests import assert_discreet, assert_problem, grade, post


@pytest.fixture(scope="module")
def client(grader: KneeGrader) -> FlaskClient:
    app = create_app(Settings(), grader)
    app.testing = False  # a fault must show as the server would show it
    return app.test_client()


def test_an_unreadable_file_is_an_error_everywhere(grader: KneeGrader, client: FlaskClient, subtests: pytest.Subtests):
    for name, film in unreadable().items():
        with subtests.test(name):
            with pytest.raises(FilmError) as error:
                grader.grade(film)
            answer = grade(client, film)
            assert 400 <= answer.status_code < 500
            assert_problem(answer, error.value.status, error.value.code)
            page = post(client, "/", film)
            assert page.status_code == error.value.status
            assert "could not be graded" in page.text
            assert_discreet(page.text)


def test_an_unusual_file_gives_the_same_error_or_answer_everywhere(
    grader: KneeGrader, client: FlaskClient, subtests: pytest.Subtests
):
    """A page shows no more of a file than its report or error, so one file of each kind of them is sent to it."""
    shown = set()
    for name, film in odd().items():
        with subtests.test(name):
            try:
                expected = grader.grade(film)
            except FilmError as error:
                expected = error
            answer = grade(client, film)
            if isinstance(expected, FilmReport):
                assert json.loads(answer.text)["films"] == [expected.to_dict()]
                status, kind = 200, (expected.refused, len(expected.knees), expected.warnings)
            else:
                assert_problem(answer, expected.status, expected.code)
                status, kind = expected.status, expected.code
            if kind not in shown:
                shown.add(kind)
                page = post(client, "/", film)
                assert_discreet(page.text)
                assert page.status_code == status


def test_no_file_is_counted_twice():
    files = [*unreadable().values(), *odd().values()]
    assert len(set(files)) == len(files) > 100
