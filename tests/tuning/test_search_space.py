"""What a search may draw, and which options it refuses."""

from dataclasses import replace

import pytest

from kneeoa_hub.errors import DataError, SettingsError

from ..support.search_runs import ONLY, settings_for

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


def test_the_whole_search_space_holds_the_shipped_network_and_the_cnn_of_2023():
    from tuning.networks.search_space import NAMED
    from tuning.searching.space import hyperparameters, named_points, point_of, space_of

    space = space_of(settings_for("random", only=None, space="full", teachers=("./kneeoa-cnn",)))
    points = named_points(space)
    assert {name: point_of(values).architecture for name, values in points.items()} == NAMED
    assert set(named_points(space_of(settings_for("random", only=None)))) == set(NAMED) - {
        "baseline-2023",
        "folded-lite0",
        "folded-lite1",
    }
    assert "stem" not in points["folded-lite0"]  # a backbone has a stem of its own
    hp = hyperparameters(space)
    hp.values = dict(points["folded-lite0"], teacher="./kneeoa-cnn")
    hp.ensure_active_values()
    assert "stem" not in hp.values
    assert point_of(hp.values).teacher == "./kneeoa-cnn"


def test_a_frame_has_a_margin_and_a_film_that_is_not_framed_has_none():
    from tuning.networks.architecture import Architecture
    from tuning.networks.ensemble import input_of
    from tuning.searching.space import hyperparameters, point_of, space_of

    hp = hyperparameters(space_of(settings_for("random", only=None, space="full")))
    for crop, reach in (("frame", 0.85), ("fit", 1.0)):
        hp.values = {**hp.values, "crop": crop, "reach": "0.85"}
        hp.ensure_active_values()
        assert point_of(hp.values).architecture.input.reach == reach
        assert ("reach" in hp.values) == (crop == "frame")
    closer = Architecture(crop="frame", reach=0.85)
    assert input_of([closer, replace(closer, size=96)]) == closer.input
    with pytest.raises(DataError, match=r"frame, reach 0\.85; frame, reach 1\) can't be joined"):
        input_of([closer, replace(closer, reach=1.0)])


def test_a_trial_has_a_seed_of_its_own_whatever_its_number_and_rung():
    from tuning.searching.space import trial_seed

    drawn = {"size": "96", "fold": "True"}
    assert trial_seed(0, drawn) == trial_seed(0, {"tuner/epochs": 3, "fold": True, "size": 96})
    assert len({trial_seed(0, drawn), trial_seed(1, drawn), trial_seed(0, {**drawn, "size": "128"})}) == 3


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"objective": "qwk"}, "objective 'log_loss', not 'qwk'"),
        ({"only": {**ONLY, "size": ["96"]}}, r"search space: size \['96', '160'\], not \['96'\]"),
    ],
)
def test_another_search_is_refused_in_a_folder_and_the_difference_is_named(audited, begun, change, difference):
    import tuning.search

    with pytest.raises(DataError, match=difference):
        tuning.search.search(audited, begun, replace(settings_for("random"), **change))


@pytest.mark.parametrize(
    ("options", "run", "error"),
    [
        ({"objective": "accuracy"}, {}, "--objective accuracy: choose among log_loss, qwk"),
        ({"space": "wide"}, {}, "--space wide: choose among default, full"),
        ({"folds": 11}, {}, "--folds 11: give a number from 2 to 10, or 0 for none"),
        ({}, {"hours": -1.0}, "--hours -1: give a number of hours"),
        ({}, {"role": "chief"}, "--address is missing: give the chief's HOST:PORT"),
        ({}, {"role": "worker", "address": "10.0.0.5"}, "--address 10.0.0.5: give the chief's HOST:PORT"),
        ({}, {"role": "chief", "address": "10.0.0.5:0"}, "--address 10.0.0.5:0: give the chief's HOST:PORT"),
        ({}, {}, "KERASTUNER_ORACLE_IP is set, but KERASTUNER_TUNER_ID is not"),
    ],
)
def test_an_option_that_can_not_be_used_is_named_before_anything_is_written(
    audited, tmp_path, monkeypatch, options, run, error
):
    import tuning.search
    from tuning.searching.settings import RunSettings

    if "KERASTUNER" in error:
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "10.0.0.5")
    with pytest.raises(SettingsError, match=error):
        tuning.search.search(audited, tmp_path / "search", settings_for("random", **options), RunSettings(**run))
    assert not (tmp_path / "search").exists()
