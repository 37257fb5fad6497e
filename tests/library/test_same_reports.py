"""Every film gets the report that it got before: probabilities, grade, grade set, box, side and reason of refusal.

The reference was made with commit 9817375, before the files moved to their rooms, and held after the move. It was made
anew when plain borders were left out of films. It belongs to one bundle and one set of locked packages. After new
weights, or a change that is meant to change reports, make it anew and read the difference before you commit it:

    KNEEOA_DATA=FOLDER PYTHONPATH=. python tests/support/report_reference.py > tests/library/report_reference.json

With PYTHONPATH set to another checkout, the same command makes it with that version.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kneeoa_hub

from ..support.report_reference import real_films, report_of, sample_films

REFERENCE = json.loads(Path(__file__).with_name("report_reference.json").read_text("utf-8"))
TOLERANCE = 1e-6
"""Largest difference of a probability, and of a heatmap's mean, that counts as the same report."""


@pytest.fixture(scope="module")
def grader(grader: kneeoa_hub.KneeGrader) -> kneeoa_hub.KneeGrader:
    """The grader of all tests, of the bundle that the reference belongs to."""
    assert grader.revision == REFERENCE["revision"], "Another bundle: make the reference anew, as this file says."
    return grader


def values(report: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a report with the path that leads to it, such as ("/knees/0/grade", 3)."""
    items = report.items() if isinstance(report, dict) else enumerate(report) if isinstance(report, list) else ()
    for key, below in items:
        yield from values(below, f"{path}/{key}")
    if not items:
        yield path, report


def assert_same(now: dict[str, Any], before: dict[str, Any], name: str) -> None:
    found, wanted = dict(values(now)), dict(values(before))
    numbers = {path for path, value in wanted.items() if isinstance(value, float)}
    assert found.keys() == wanted.keys(), name
    assert {path: found[path] for path in found.keys() - numbers} == {
        path: wanted[path] for path in wanted.keys() - numbers
    }, name
    assert {path: found[path] for path in numbers} == pytest.approx(
        {path: wanted[path] for path in numbers}, abs=TOLERANCE, rel=0
    ), name


def test_the_synthetic_samples_get_the_reports_of_the_reference(grader):
    films = sample_films()
    assert films.keys() == REFERENCE["synthetic"].keys()
    for name, film in films.items():
        assert_same(report_of(grader, film.pixels), REFERENCE["synthetic"][name], name)


def test_real_films_get_the_reports_of_the_reference(grader, data):
    films = dict(real_films(data))
    assert films.keys() == REFERENCE["real"].keys()
    assert len(films) > 100
    for name, film in films.items():
        assert_same(report_of(grader, film), REFERENCE["real"][name], name)
