"""NAME@SIZE: a network that was trained on smaller films goes on, from its weights, on larger ones."""

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kneeoa_hub.errors import SettingsError
from tuning.data.datasets import load_knees

from ..support.eager import eagerly
from ..support.searches import write_search

if TYPE_CHECKING:
    from tuning.networks.architecture import Architecture

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def small() -> "Architecture":
    from tuning.networks.architecture import Architecture

    return Architecture(size=96, block="plain", widths="16-32-64-128", dense="", fold=True)


@pytest.fixture(scope="module")
def searched(audited, small, tmp_path_factory):
    """A search's folder whose trial 0000 is `small`, and whose 0001 flattens its features."""
    from tuning.networks.architecture import Architecture

    folder = tmp_path_factory.mktemp("searched") / "search"
    return write_search(folder, audited, [small, Architecture(size=96, pooling="flatten")])


@pytest.mark.slow
def test_it_goes_on_from_the_smaller_films_weights_for_a_shorter_time(searched, tmp_path, monkeypatch, small):
    import keras

    from tuning.networks.architecture import build
    from tuning.train import train
    from tuning.training.checkpoint import read_history, weights_path
    from tuning.training.members import load_members
    from tuning.training.plan import LARGER_EPOCHS, LARGER_RATE, TrainSettings

    begun = {}
    fit = keras.Model.fit

    def watched(model, *args, **kwargs):
        begun[model.input_shape[1]] = [np.array(weight) for weight in model.get_weights()]
        return fit(model, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", watched)
    settings = TrainSettings(epochs=4, patience=4, batch=16, architectures=("0000@128",))
    with eagerly():
        out = train(searched, tmp_path / "train", settings)
    smaller = build(small)
    smaller.load_weights(weights_path(out, "0000-0"))
    assert all(np.array_equal(a, b) for a, b in zip(begun[128], smaller.get_weights(), strict=True))
    assert len(read_history(out, "0000-0")) == 4
    assert len(read_history(out, "0000@128-0")) == round(LARGER_EPOCHS * 4)
    (member,) = load_members(out)  # the smaller one is a step on the way, not a member
    assert member.name == "0000@128-0"
    assert member.architecture.size == 128
    assert member.architecture.learning_rate == pytest.approx(small.learning_rate * LARGER_RATE)


def test_a_smaller_size_is_trained_alone_at_the_rate_of_the_network(searched):
    from tuning.networks.search_space import NAMED
    from tuning.training.plan import TrainSettings, plan

    (member,) = plan(searched, TrainSettings(epochs=10, architectures=("folded-lite0@192",)))
    assert (member.name, member.epochs, member.start) == ("folded-lite0@192-0", 10, "")
    assert member.architecture == replace(NAMED["folded-lite0"], size=192)


def test_a_trial_is_trained_with_the_teacher_that_it_was_drawn_with(tmp_path, small):
    from tuning.run import steps
    from tuning.training.plan import TrainSettings, plan

    search = write_search(tmp_path / "search", tmp_path, [small, small], ("./taught", ""))
    names = ("0000@128", "0001", "winner", "folded")
    planned = plan(search, TrainSettings(architectures=names))
    teachers = {member.name: member.teacher for member in planned}
    assert teachers == {
        "0000-0": "./taught",
        "0000@128-0": "./taught",
        "0001-0": "",
        "winner-0": "./taught",
        "folded-0": "",
    }
    with pytest.raises(SettingsError, match=r"--teacher \./other: each trial of .* leave --teacher out"):
        plan(search, TrainSettings(architectures=("0001",), teacher="./other"))
    record = steps.read_json(search / steps.RECORD)
    record["settings"]["accelerated"] = True
    steps.write_json(search / steps.RECORD, record)
    with pytest.raises(SettingsError, match=r"learned from the answers of \./taught in a pack"):
        plan(search, TrainSettings(architectures=("0000",)))


@pytest.mark.slow
def test_a_short_training_replaces_the_initial_statistics_of_normalisation(searched, audited, tmp_path, small):
    """The end is kept, so that means and variances have to be those of the films by then, not still the zeros and ones
    of the beginning.
    """
    import keras

    from tuning.train import train
    from tuning.training.members import load_members
    from tuning.training.plan import TrainSettings

    out = train(searched, tmp_path / "train", TrainSettings(epochs=12, batch=8, architectures=("0000",)))
    (member,) = load_members(out)
    layer = next(layer for layer in member.network.layers if isinstance(layer, keras.layers.BatchNormalization))
    seen = keras.Model(member.network.input, layer.input)(load_knees(audited, "train", small.input).inputs())
    kept, actual = (np.asarray(values) for values in (layer.moving_variance, np.var(seen, axis=(0, 1, 2))))
    assert 0.5 < np.median(kept / actual) < 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0000@96", "it has 96 pixels; choose among 128, 160, 192, 224, 256"),
        ("0000@large", "choose among"),
        ("0001@128", "can't be enlarged"),
        ("baseline-2023@512", "can't be enlarged"),
        ("unheard-of@128", "choose winner, chosen, a trial's number"),
    ],
)
def test_a_network_that_cannot_be_enlarged_is_refused(searched, tmp_path, name, message):
    from tuning.train import train
    from tuning.training.plan import TrainSettings

    with pytest.raises(SettingsError, match=message):
        train(searched, tmp_path / "train", TrainSettings(architectures=(name,)))
    assert not (tmp_path / "train").exists()


def test_a_trial_of_an_older_search_space_has_the_defaults_of_newer_choices(searched, tmp_path):
    from tuning.networks.search_space import NAMED
    from tuning.training.search_result import architecture_of_trial

    with (searched / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "fold"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert architecture_of_trial(tmp_path, "0000").fold is NAMED["residual"].fold is False
