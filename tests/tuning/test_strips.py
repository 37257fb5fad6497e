"""Strips of two knees are graded by their worse knee, apart from all other films."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.bundle import Conformal, Decision, InputConfig
from kneeoa_hub.imaging.phantom import knee_film
from tuning.data.table import SEVERAL_KNEES, read_films, write_films

if TYPE_CHECKING:
    from tuning.evaluation.calibration import Calibration

pytestmark = pytest.mark.keras

CONFIG = InputConfig(96, 96)


class ByTurns:
    """A model that gives the grades one after the other, for any film."""

    def __init__(self, grades: list[int]):
        self.grades = grades
        self.shown = 0

    def predict_on_batch(self, films: np.ndarray) -> dict[str, np.ndarray]:
        given = self.grades[self.shown : self.shown + len(films)]
        self.shown += len(films)
        rest = np.zeros((len(films), 1))
        return {"probabilities": 0.02 + 0.9 * np.eye(5)[given], "embedding": rest, "activation_map": rest}


def by_turns(grades: list[int]) -> Any:
    """A stand-in for a network."""
    return ByTurns(grades)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Strips of validation, of two knees each, side by side with black between."""
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("strips")
    for number in range(15):
        grade = number % 5
        left, right = (knee_film(grade, 2 * number + side).pixels for side in (0, 1))
        strip = np.concatenate([left, np.zeros((len(left), 160), np.uint8), right], 1)
        path = root / "films" / "val" / str(grade) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(strip).save(path)
    return audit([f"site={root / 'films'}"], root / "audit")


@pytest.fixture
def calibration() -> "Calibration":
    from tuning.evaluation.calibration import Calibration

    return Calibration(1.0, Decision(), Conformal(0.9, 0.9, 100), {})


def test_the_worse_knee_counts_for_its_strip(audited, calibration):
    from tuning.evaluation.strips import two_knee_strips

    strips = [film for film in read_films(audited) if film.use == SEVERAL_KNEES]
    assert len(strips) == 15
    grades = [grade for film in strips for grade in ((film.grade, 0) if film.grade % 2 else (0, film.grade))]
    figures = two_knee_strips(by_turns(grades), audited, audited, "val", CONFIG, calibration)
    assert figures["site_val"].accuracy.value == figures["site_val"].qwk.value == 1
    assert figures["site_val"].accuracy.n == 15
    severe = two_knee_strips(by_turns([4] * 30), audited, audited, "val", CONFIG, calibration)
    assert severe["site_val"].accuracy.value == pytest.approx(0.2)
    assert two_knee_strips(by_turns([]), audited, audited, "test", CONFIG, calibration) == {}


def test_a_strip_whose_knee_was_trained_on_is_left_out_and_few_are_not_measured(audited, tmp_path, calibration):
    from tuning.evaluation.strips import LEAST_STRIPS, two_knee_strips

    films = read_films(audited)
    for seen in (3, 15 - LEAST_STRIPS + 1):
        trained = [replace(film, split="train", use="yes", file=f"trained-{film.file}") for film in films[:seen]]
        write_films(tmp_path / "films.csv", [*films, *trained])
        figures = two_knee_strips(by_turns([0] * 30), tmp_path, tmp_path, "val", CONFIG, calibration)
        assert [row.qwk.n for row in figures.values()] == ([15 - seen] if 15 - seen >= LEAST_STRIPS else [])


def test_without_the_films_nothing_is_measured(audited, tmp_path, calibration):
    from tuning.evaluation.strips import two_knee_strips

    write_films(tmp_path / "films.csv", [replace(film, source=str(tmp_path / "gone")) for film in read_films(audited)])
    assert two_knee_strips(by_turns([]), tmp_path, tmp_path, "val", CONFIG, calibration) == {}
