"""A published model shares the target with the labels, and members of other trainings join a training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.phantom import write_films
from kneeoa_hub.typed_json import to_json
from tuning.data.datasets import load_knees
from tuning.data.table import read_films

from ..support.bundles import changed, make_bundle
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


def test_a_bundle_that_saw_the_films_in_other_splits_is_refused_however_many_films_they_have(tmp_path):
    from tuning.audit import audit
    from tuning.data.summary import read_summary, split_hashes
    from tuning.training.distillation import check_films

    write_films(tmp_path / "films", 30)
    rows = [(f"films/{path.relative_to(tmp_path / 'films')}", path.parts[-2:]) for path in tmp_path.rglob("*.png")]
    texts = {
        "drawn": "".join(f"{file},{grade},,\n" for file, (grade, _) in rows),
        "given": "".join(f"{file},{grade},{name[:6]},{Path(file).parts[1]}\n" for file, (grade, name) in rows),
    }
    audits = {}
    for kind, seed in (("drawn", 0), ("drawn", 1), ("given", 0)):
        (tmp_path / "site.csv").write_text("file,grade,group,split\n" + texts[kind], "utf-8")
        audits[kind, seed] = audit([str(tmp_path / "site.csv")], tmp_path / f"{kind}-{seed}", seed)
    then, now = read_summary(audits["drawn", 0]), read_summary(audits["drawn", 1])
    assert then.splits == now.splits
    assert then.fingerprint != now.fingerprint

    def bundle_of(kind: str, name: str, hashed: bool):
        """A bundle that was trained on the films of an audit at another resolution."""
        counts = to_json(read_summary(audits[kind, 0]).splits)
        hashes = split_hashes(read_films(audits[kind, 0])) if hashed else {}
        data = {"fingerprint": "of other bytes", "splits": counts, "split_hashes": hashes}
        return read_bundle(changed(make_bundle(tmp_path / f"tiny-{name}"), tmp_path / name, {"data": data}))

    drawn, older = bundle_of("drawn", "new", True), bundle_of("drawn", "old", False)
    check_films("new", drawn, audits["drawn", 0])
    for bundle in (drawn, older):
        with pytest.raises(DataError, match="was trained on other films of site"):
            check_films("it", bundle, audits["drawn", 1])
    accepted, summary = bundle_of("given", "given", False), audits["given", 0] / "audit.json"
    check_films("given", accepted, audits["given", 0])
    of_release = json.loads(summary.read_text("utf-8"))
    assert of_release.pop("given") == ["site"]
    assert now.given == ()
    summary.write_text(json.dumps(of_release), "utf-8")
    with pytest.raises(DataError, match="does not say whether its splits were given"):
        check_films("given", accepted, audits["given", 0])


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
    record = json.loads((taught / "train.json").read_text("utf-8"))
    assert record["members"][0]["architecture"]["size"] == small.size
    assert record["looks_before"] == grader.bundle.evidence.test_evaluations
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
