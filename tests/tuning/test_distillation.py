"""A published model shares the target with the labels, and members of other trainings join a training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.phantom import write_films
from tuning.data.datasets import load_knees

from ..support.eager import eagerly
from ..support.searches import write_search

pytestmark = pytest.mark.keras


def test_half_of_a_target_is_the_label_and_half_are_the_teachers_probabilities(audited, grader):
    from tuning.data.augment import TrainingBatches, one_hot
    from tuning.training import distillation

    folder = str(grader.bundle.folder)
    targets = distillation.targets(audited, folder)
    knees = load_knees(audited, "train", read_bundle(grader.bundle.folder).config.input)
    assert np.allclose(targets.sum(1), 1, atol=1e-5)
    answered = 2 * targets - one_hot(knees.grades)
    assert np.allclose(distillation.targets(audited, folder, taught=1.0), answered, atol=1e-5)
    film = knees.films[3]
    whole = [(0, 0, film.width, film.height)]
    asked = grader.grade(Path(film.source) / film.file, boxes=whole, force=True).knees[0].probabilities
    assert np.allclose(answered[3], asked, atol=0.05)
    batches = TrainingBatches(knees, 8, 0.0, 0, targets=targets)
    assert np.allclose(batches[0][1], targets[batches.order[:8]])


def test_a_teacher_of_other_films_of_the_same_dataset_is_refused(tmp_path, grader):
    from tuning.audit import audit
    from tuning.training import distillation

    write_films(tmp_path / "films", 30)
    mine = audit([f"oai={tmp_path / 'films'}"], tmp_path / "audit")
    with pytest.raises(DataError, match="was trained on other films of oai"):
        distillation.targets(mine, str(grader.bundle.folder))


@pytest.mark.slow
def test_a_member_of_another_training_joins_as_it_is(audited, grader, tmp_path):
    from tuning.audit import audit
    from tuning.networks.architecture import Architecture
    from tuning.train import train
    from tuning.training.checkpoint import weights_path
    from tuning.training.members import load_members
    from tuning.training.plan import TrainSettings

    small = Architecture(size=96, widths="16-32-64-128", block="plain", crop="frame")
    searched = write_search(tmp_path / "search", audited, [small])
    settings = {"epochs": 1, "patience": 2, "batch": 16, "architectures": ("0000",)}
    with eagerly():
        before = train(searched, tmp_path / "before", TrainSettings(**settings))
        joined = (str(weights_path(before, "0000-0")),)
        taught = train(
            searched,
            tmp_path / "after",
            TrainSettings(**settings, seeds=(1,), teacher=str(grader.bundle.folder), joined=joined),
        )
    assert [member.name for member in load_members(taught)] == ["0000-0", "0000-1"]
    for name in ("member-0000-0.weights.h5", "member-0000-0.history.csv"):
        assert (taught / name).read_bytes() == (before / name).read_bytes()
    assert json.loads((taught / "train.json").read_text("utf-8"))["members"][0]["architecture"]["size"] == small.size
    shutil.copy(before / "member-0000-0.weights.h5", before / "member-other-0.weights.h5")
    with pytest.raises(DataError, match=r"is not a member of a training; choose among member-0000-0\.weights\.h5"):
        train(
            searched, tmp_path / "wrong", TrainSettings(**settings, joined=(str(before / "member-other-0.weights.h5"),))
        )
    write_films(tmp_path / "others", 30, seed=9)
    elsewhere = audit([f"synthetic={tmp_path / 'others'}"], tmp_path / "other-audit")
    settings["architectures"] = ("residual",)  # which needs no search
    with pytest.raises(DataError, match=r"was trained on \d+ films that .* does not hold"):
        train(elsewhere, tmp_path / "foreign", TrainSettings(**settings, seeds=(1,), joined=joined))
