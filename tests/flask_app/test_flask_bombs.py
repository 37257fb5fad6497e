"""Films and networks that would take the server down: each costs its sender an error, and the next film is graded."""

from dataclasses import replace
from pathlib import Path

import pytest

import kneeoa_hub
from flask_app import create_app
from kneeoa_hub import KneeGrader
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.imaging import decode_process
from kneeoa_hub.settings import Settings

from ..support.bombs import BOMBS
from ..support.bundles import make_bundle
from ..support.flask_requests import assert_problem, grade
from ..support.graphs import lying_graph
from ..support.hostile import hostile_worker


@pytest.mark.parametrize(
    ("film", "status", "code"),
    [
        (b"memory", 413, "film-too-large"),
        (b"time", 413, "film-too-large"),
        (b"crash", 422, "film-damaged"),
    ],
)
def test_a_film_that_ends_its_decoder_is_answered_and_the_next_film_is_graded(
    film: bytes, status: int, code: str, films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(decode_process, "WORKER", hostile_worker(tmp_path, monkeypatch))
    grader = KneeGrader(read_bundle(kneeoa_hub.pull()), decode_process=1)
    client = create_app(Settings(), grader).test_client()
    assert_problem(grade(client, film), status, code)
    assert grade(client, films["mild"].read_bytes()).status_code == 200


@pytest.mark.parametrize("name", ["TIFF tags that share their bytes", "JPEG of many scans", "DICOM of empty items"])
def test_a_bomb_is_answered_413(name: str, grader: KneeGrader):
    assert_problem(grade(create_app(Settings(), grader).test_client(), BOMBS[name]()), 413, "film-too-large")


def test_a_network_that_answers_zeros_makes_the_model_unavailable(tmp_path: Path, films: dict[str, Path]):
    grader = KneeGrader(read_bundle(make_bundle(tmp_path / "bundle", model=lying_graph((0,) * 5))))
    answer = grade(create_app(Settings(), grader).test_client(), films["mild"].read_bytes())
    assert_problem(answer, 503, "model-unavailable")


def test_a_model_with_a_name_in_any_script_is_served(grader: KneeGrader, films: dict[str, Path]):
    bundle = replace(grader.bundle, config=replace(grader.bundle.config, name="колено 膝"))
    client = create_app(Settings(), KneeGrader(bundle)).test_client()
    answer = grade(client, films["mild"].read_bytes())
    assert answer.status_code == 200
    assert answer.get_json()["model"] == "колено 膝"
    assert answer.headers["KneeOA-Model"] == "%D0%BA%D0%BE%D0%BB%D0%B5%D0%BD%D0%BE %E8%86%9D"
