"""The card's figures show the numbers of its tables."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tuning.evaluation.metrics import Predictions


def predictions(count: int, seed: int = 0, per_patient: int = 1) -> "Predictions":
    """Made-up predictions, nearly right, equal for all knees of a patient."""
    from tuning.evaluation.metrics import Predictions

    rng = np.random.default_rng(seed)
    patient = np.arange(count) // per_patient
    truth = (patient % 5).astype(int)
    off = rng.integers(-1, 2, patient.max() + 1)[patient]
    grade = np.clip(truth + off, 0, 4)
    probabilities = np.full((count, 5), 0.05)
    probabilities[np.arange(count), grade] = 0.4 + 0.4 * rng.random(patient.max() + 1)[patient]
    probabilities /= probabilities.sum(1, keepdims=True)
    return Predictions(truth, grade, probabilities, off < 1, np.where(off < 1, 2, 1), patient.astype(str))


@pytest.fixture
def drawn(monkeypatch):
    """The figures of matplotlib, which stay open."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    yield figures
    monkeypatch.undo()
    pyplot.close("all")


def bars(axis) -> np.ndarray:
    """[N,2]: lower and upper end of the vertical error bars of the first series, from left to right."""
    segments = np.array(axis.containers[0].lines[2][0].get_segments())
    return segments[:, :, 1]


def test_the_bars_of_the_prediction_sets_are_those_of_the_table(drawn, tmp_path):
    from tuning.evaluation import plots
    from tuning.evaluation.metrics import coverages

    measured = {"gornale_val": predictions(200, per_patient=4), "oai_test": predictions(300, 1)}
    tables = {name: coverages(one) for name, one in measured.items()}
    plots.plot_prediction_sets(measured, tables, 0.9, tmp_path / "sets.png")
    for axis, table in zip(drawn[0].axes[:2], tables.values(), strict=True):
        assert bars(axis) == pytest.approx(np.array([(figure.low, figure.high) for figure in table.values()]))
    assert [axis.get_title() for axis in drawn[0].axes[:2]] == [
        "Gornale, validation, 200 films",
        "OAI, test half, 300 films",
    ]


def test_no_label_of_the_prediction_sets_lies_outside_its_panel(drawn, tmp_path):
    from tuning.evaluation import plots
    from tuning.evaluation.metrics import coverages

    measured = {
        "gornale_val": predictions(100),
        "oai_val": predictions(100),
        "gornale_test": predictions(100),
        "oai_test": predictions(100),
    }
    tables = {name: coverages(one) for name, one in measured.items()}
    plots.plot_prediction_sets(measured, tables, 0.9, tmp_path / "sets.png")
    for axis in drawn[0].axes:
        if axis.get_ylabel():
            panel, label = axis.get_window_extent(), axis.yaxis.label.get_window_extent()
            assert panel.y0 <= label.y0
            assert label.y1 <= panel.y1
            assert label.x0 >= 0


def test_the_bars_of_calibration_are_wider_where_patients_have_several_knees(drawn, tmp_path):
    from tuning.evaluation import plots

    measured = {"one_val": predictions(400), "several_val": predictions(400, per_patient=8)}
    plots.plot_calibration(measured, tmp_path / "calibration.png")
    one, several = (np.diff(bars(axis)).mean() for axis in drawn[0].axes)
    assert several > 1.5 * one


def test_a_proportion_by_groups_has_a_wider_interval_than_over_films():
    from tuning.run.estimates import grouped_proportion, proportion

    right = np.repeat(np.arange(40) % 3 > 0, 5)
    groups = np.repeat(np.arange(40), 5)
    grouped, plain = grouped_proportion(right, groups), proportion(right)
    assert grouped.value == plain.value
    assert grouped.high - grouped.low > 1.5 * (plain.high - plain.low)
    assert grouped_proportion(np.ones(20, bool), np.arange(20)) == proportion(np.ones(20, bool))


def test_the_mean_maps_come_with_a_scale_a_frame_and_their_numbers(drawn, tmp_path):
    from tuning.evaluation import plots
    from tuning.evaluation.occlusion import MeanMaps

    maps = {grade: np.random.default_rng(grade).random((7, 7)) for grade in range(3)}
    plots.plot_maps(MeanMaps(maps, {0: 300, 1: 120, 2: 9}, (0.08, 0.44, 0.92, 0.68)), tmp_path / "maps.png")
    *panels, scale = drawn[0].axes
    assert [axis.get_title() for axis in panels] == ["graded 0, 300 knees", "graded 1, 120 knees", "graded 2, 9 knees"]
    for axis in panels:
        (frame,) = axis.patches
        assert (
            *frame.get_xy(),
            frame.get_x() + frame.get_width(),
            frame.get_y() + frame.get_height(),
        ) == pytest.approx((0.08, 0.44, 0.92, 0.68))
    assert scale.get_ylim() == (0, 1)
    assert Image.open(tmp_path / "maps.png").width > 600


def test_the_confusion_is_titled_as_in_the_card(drawn, tmp_path):
    from tuning.evaluation import plots

    plots.plot_confusion(
        {"oai_val": np.eye(5, dtype=int), "site_test": np.eye(5, dtype=int)}, tmp_path / "confusion.png"
    )
    assert [axis.get_title() for axis in drawn[0].axes] == ["OAI, validation", "site, test"]
