"""A trial trains a network on real films, and is measured."""

from dataclasses import replace

import numpy as np
import pytest

from kneeoa_hub.errors import DataError

from ..support.eager import eagerly
from ..support.search_runs import ONLY, settings_for

pytestmark = pytest.mark.keras


def test_half_of_the_target_of_a_taught_trial_is_what_the_teacher_answers(audited):
    from tuning.data.augment import one_hot
    from tuning.networks.architecture import Architecture
    from tuning.searching.trial import TrialTrainer

    trainer = TrialTrainer(audited, settings_for("random", films=10, validation_films=8), audited)
    films = trainer.films(Architecture(size=96, crop="frame").input, "kneeoa-cnn")
    assert len(films.training) == 10
    assert films.targets is not None
    answers = 2 * films.targets - one_hot(films.training.grades)
    assert np.allclose(answers.sum(1), 1, atol=1e-5)
    assert (answers > -1e-6).all()
    assert answers.std() > 0


def test_a_loss_that_is_no_number_ends_the_trial_and_the_error_names_epoch_and_rate(audited, monkeypatch):
    import keras

    from tuning.networks.losses import LOSSES
    from tuning.searching.space import hyperparameters, space_of
    from tuning.searching.trial import TrialTrainer

    class Nowhere(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.multiply(keras.ops.sum(y_pred, axis=-1), float("nan"))

    monkeypatch.setitem(LOSSES, "soft_ordinal", Nowhere)
    settings = settings_for("random", films=8, validation_films=8, batch=4, only={**ONLY, "learning_rate": ["0.001"]})
    values = hyperparameters(space_of(settings)).values
    with (
        eagerly(),
        pytest.raises(FloatingPointError, match=r"not a number in epoch 1 of 3, with the learning rate 0\.001"),
    ):
        TrialTrainer(audited, settings, audited).train(values, 3, ())


def test_a_trial_of_full_length_is_trained_on_folds_too(audited, monkeypatch):
    import keras

    import tuning.searching.trial as trial
    from tuning.searching.settings import trained_epochs
    from tuning.searching.space import hyperparameters, space_of

    class Counted(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    monkeypatch.setattr(trial, "cost_of", lambda architecture: {})
    settings = settings_for("random", epochs=1, films=16, validation_films=8, batch=8, folds=2)
    trainer, shown = trial.TrialTrainer(audited, settings, audited), Counted()
    values = hyperparameters(space_of(settings)).values
    with eagerly():
        full = trainer.train(values, 1, [shown])
        assert shown.epochs == trained_epochs(1, settings) == 3
    assert 0 < full["folds_log_loss"] < 5
    assert full["folds_log_loss_error"] > 0
    assert -1 <= full["folds_qwk"] <= 1
    assert full["val_log_loss"] != full["folds_log_loss"]


def test_folds_hold_every_film_once_and_divide_no_leakage_group(audited):
    from tuning.data.datasets import usable_rows
    from tuning.searching.folds import folds

    films = [replace(film, leakage_group=str(row // 2)) for row, film in enumerate(usable_rows(audited, "train"))]
    found = folds(films, 3, 0)
    assert sorted(row for rows in found for row in rows.tolist()) == list(range(len(films)))
    groups = [{films[row].leakage_group for row in rows} for rows in found]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert all(len({films[row].grade for row in rows}) > 1 for rows in found)


def test_films_that_are_too_few_for_the_folds_are_refused_before_a_search_begins(audited, tmp_path):
    from tuning.search import search

    with pytest.raises(DataError, match=r"--folds 4: the 3 training films, of 3 leakage groups, are too few"):
        search(audited, tmp_path / "search", settings_for("random", films=3, folds=4))
    assert not (tmp_path / "search").exists()
