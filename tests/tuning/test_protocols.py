"""Members with a classifier for the readers of each dataset."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ..support.eager import eagerly
from ..support.searches import write_search

pytestmark = pytest.mark.keras

PROTOCOLS = ("oai", "gornale")


@pytest.fixture(scope="module")
def architecture():
    from tuning.networks.architecture import Architecture

    return Architecture(size=96, widths="16-32-64-128", fold=True, crop="frame")


@pytest.fixture(scope="module")
def network(architecture):
    """A network of two protocols whose classifiers differ."""
    import keras

    from tuning.networks.architecture import build

    keras.utils.set_random_seed(0)
    return build(architecture, protocols=PROTOCOLS)


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 96, 96, 1)).astype(np.float32)


@pytest.mark.parametrize("place", [0, 1])
def test_one_protocols_classifier_answers_alone(network, architecture, place):
    from tuning.networks.architecture import with_head

    both = np.asarray(network(images()))
    assert both.shape == (3, 2, 5)
    assert not np.allclose(both[:, 0], both[:, 1])
    alone = with_head(network, architecture, PROTOCOLS, PROTOCOLS[place])
    assert np.allclose(np.asarray(alone(images())), both[:, place], atol=1e-6)


def test_every_classifier_begins_as_that_of_the_network_before(network, architecture):
    from tuning.networks.architecture import with_head, with_heads

    alone = with_head(network, architecture, PROTOCOLS, "oai")
    several = np.asarray(with_heads(alone, architecture, PROTOCOLS)(images()))
    assert np.allclose(several, np.asarray(alone(images()))[:, None], atol=1e-6)


def test_a_film_that_a_protocol_has_not_graded_costs_nothing_and_counts_for_its_own():
    from tuning.data.augment import by_protocol, one_hot
    from tuning.networks.losses import Coral, QuadraticKappa, SoftOrdinal

    grades, datasets = np.array([0, 4, 1]), np.array(["oai", "gornale", "oai"])
    targets = by_protocol(one_hot(grades), datasets, PROTOCOLS)
    assert targets.shape == (3, 2, 5)
    assert targets.sum((1, 2)).tolist() == [1, 1, 1]
    answers = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2)).astype(np.float32)
    own = answers[np.arange(3), [0, 1, 0]]
    for loss in (SoftOrdinal(reduction="none"), Coral(reduction="none")):
        assert np.allclose(np.asarray(loss(targets, answers)), np.asarray(loss(one_hot(grades), own)), atol=1e-5)
    first, second = QuadraticKappa(), QuadraticKappa()
    first.update_state(targets, answers)
    second.update_state(one_hot(grades), own)
    assert float(first.result()) == pytest.approx(float(second.result()))


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """An audit of two datasets of 50 synthetic films each."""
    from kneeoa_hub.imaging.phantom import write_films
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("readers")
    for seed, dataset in ((1, "ward"), (2, "clinic")):
        write_films(root / dataset, 50, seed=seed)
    return audit([f"{name}={root / name}" for name in ("ward", "clinic")], root / "audit")


@pytest.fixture(scope="module")
def trained(audited, architecture, tmp_path_factory):
    """A short training with two protocols and variants."""
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    root = tmp_path_factory.mktemp("protocols")
    searched = write_search(root / "search", audited, [architecture])
    settings = TrainSettings(epochs=1, batch=16, architectures=("0000",), protocols=True, variants=3)
    with eagerly():
        return train(searched, root / "train", settings)


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    """A bundle with the smaller of two protocols and a closer frame."""
    from tuning.evaluate import evaluate
    from tuning.export import export

    root = tmp_path_factory.mktemp("bundled")
    evaluated = evaluate(trained, root / "evaluate", test=False, protocol="clinic", reach=0.9)
    return export(evaluated, root / "bundle")


@pytest.mark.slow
def test_a_bundle_answers_by_its_protocol_and_is_fitted_on_the_films_of_its_readers(bundle):
    import kneeoa_hub
    from kneeoa_hub.imaging.phantom import knee_film

    grader = kneeoa_hub.from_pretrained(bundle)
    assert grader.bundle.config.protocol == "clinic"
    assert grader.bundle.config.input.crop == "frame"
    evidence = grader.bundle.evidence
    assert set(evidence.training.protocols) == {"ward", "clinic"}
    assert set(evidence.metrics) == {"clinic_val", "ward_val"}
    assert evidence.joint
    assert {one.films for one in (evidence.joint, *evidence.other_joints)} == {"clinic_val", "ward_val"}
    clinic = evidence.metrics["clinic_val"].qwk.n
    assert grader.bundle.config.conformal.calibration_films == clinic
    report = grader.grade(knee_film(2, 7).pixels, force=True)
    assert report.protocol == "clinic"
    assert report.to_dict()["protocol"] == "clinic"


@pytest.mark.slow
def test_an_evaluation_without_films_to_fit_on_says_so(trained, audited, tmp_path):
    from kneeoa_hub.errors import DataError
    from tuning.data.table import read_films, write_films
    from tuning.evaluate import evaluate

    # A newer audit that finds every knee in one leakage group leaves no film that training did not see.
    newer = shutil.copytree(audited, tmp_path / "newer")
    write_films(newer / "films.csv", [replace(film, leakage_group="one") for film in read_films(audited)])
    with pytest.raises(DataError, match="0 films are left to calibrate on"):
        evaluate(trained, tmp_path / "out", test=False, protocol="clinic", copies=newer)


@pytest.mark.slow
def test_members_of_a_bundle_are_trained_further_and_what_they_may_have_seen_is_recorded(bundle, audited, tmp_path):
    from kneeoa_hub.errors import SettingsError
    from tuning.data.table import read_films
    from tuning.evaluate import evaluate
    from tuning.run import steps
    from tuning.train import train
    from tuning.training.members import read_record
    from tuning.training.plan import TrainSettings

    settings = TrainSettings(epochs=1, batch=16, start=str(bundle), teacher=str(bundle), protocols=True)
    with eagerly():
        trained = train(audited, tmp_path / "train", settings)
    record = read_record(trained)
    (member,) = record.members
    assert member.name == "0000-0"
    assert "trained further" in (member.origin or "")
    assert (member.architecture or {})["reach"] == 0.9
    (seen,) = steps.read_json(trained / "seen.json").values()
    assert set(seen) == {film.sha256 for film in read_films(audited) if film.split == "train"}
    with pytest.raises(SettingsError, match="no such protocol"):
        evaluate(trained, tmp_path / "other", test=False, protocol="hospital")
    with pytest.raises(SettingsError, match="no such member"):
        train(audited, tmp_path / "none", TrainSettings(start=str(bundle), members=("folded-0",)))


@pytest.mark.slow
def test_ways_to_train_on_two_collections_are_compared_and_a_network_can_give_the_grades(audited, trained, tmp_path):
    from benchmarks.protocol_ways import OutsideKnee, measured, relabel, table
    from kneeoa_hub.imaging.frame import Place
    from kneeoa_hub.imaging.phantom import knee_film
    from tuning.data.table import read_films

    knees = [
        OutsideKnee(f"{age}.png", age, knee_film(grade, grade).pixels, Place(120, 120, 200))
        for age, grade in ((30, 0), (70, 4))
    ]
    rows = list(measured("two classifiers", trained, knees))
    assert {row.answers for row in rows} == {"ward", "clinic"}
    assert all(set(row.collections) == {"ward", "clinic"} and row.young == 1 for row in rows)
    assert table(rows).count("two classifiers") == 2
    relabel(trained, "ward", tmp_path / "relabelled")
    before, after = read_films(audited), read_films(tmp_path / "relabelled")
    changed = {new.dataset for old, new in zip(before, after, strict=True) if old.grade != new.grade}
    assert changed == {"ward"}
    assert all(old.grade == new.grade for old, new in zip(before, after, strict=True) if old.split != "train")
