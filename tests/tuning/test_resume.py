"""A search or a training that is killed without warning goes on where it stopped, with the same command."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kneeoa_hub.errors import DataError
from tuning.__main__ import main
from tuning.run import extensions

from ..support.eager import eagerly
from ..support.formula import Formula
from ..support.noise import noise_films
from ..support.searches import write_search
from ..support.waiting import until

if TYPE_CHECKING:
    import keras

    from tuning.training.checkpoint import Checkpoint

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
EPOCHS = 6
STEPS = 2
ONE_GRAPH = {
    **{"size": ["96"], "view": ["whole"], "fold": ["True"], "stem": ["conv5"], "block": ["plain"], "blocks": ["1"]},
    **{"widths": ["16-32-64-128"], "normalisation": ["True"], "pooling": ["average"], "dense": [""]},
}
"""Trials of networks whose cost is measured once in a process; they differ in how they are trained."""
UNENDING = """
import os

import tuning.searching.trial
from tests.support.formula import SLOW, Formula


class Unending(Formula):
    def train(self, values, epochs, callbacks, folder):
        if folder.name == "trial_1":
            os.environ[SLOW] = "/never"
        return super().train(values, epochs, callbacks, folder)


tuning.searching.trial.TrialTrainer = Unending
"""
"""A file for --with: the first trial takes no time, and the second one does not come to its end."""


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tuning", *map(str, arguments)],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def kill_when(process: subprocess.Popen[str], happened) -> None:
    """End the process by SIGKILL, as a power failure would."""

    def now() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(happened())

    try:
        until(now)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_training_repeats_at_most_one_epoch(audited, tmp_path):
    from tuning.networks.architecture import Architecture
    from tuning.training.checkpoint import read_history

    small = Architecture(size=96, widths="16-32-64-128", block="plain", crop="frame")
    searched, out = write_search(tmp_path / "search", audited, [small]), tmp_path / "train"
    command = ("train", "--data", searched, "--out", out, "--architecture", "0000")
    command += ("--epochs", EPOCHS, "--batch", 8, "--patience", EPOCHS)
    kill_when(
        start(*command),
        lambda: len(read_history(out, "0000-0")) >= 2 and (out / "member-0000-0.backup/latest.weights.h5").exists(),
    )
    before = read_history(out, "0000-0")
    assert not (out / "train.json").exists()
    assert main([*map(str, command)]) == 0
    after = read_history(out, "0000-0")
    assert [int(row["epoch"]) for row in after] == list(range(EPOCHS))
    # The row of an epoch whose weights were not kept yet is made again; those before it stay as they were.
    assert after[: len(before) - 1] == before[:-1]
    record = json.loads((out / "train.json").read_text("utf-8"))
    kappas = [float(row["val_qwk"]) for row in after]
    assert record["members"][0]["epochs"] == EPOCHS
    assert record["members"][0]["val_qwk"] == max(kappas)
    assert {path.name for path in out.glob("member-*")} == {
        "member-0000-0.weights.h5",
        "member-0000-0.history.csv",
    }


def test_a_resumed_training_sees_the_batches_of_an_unbroken_one_in_the_same_order(tmp_path, monkeypatch):
    # masks of dropout begin anew
    from tuning.networks.architecture import Architecture
    from tuning.training.checkpoint import Checkpoint, read_history
    from tuning.training.member import TrainingFilms, train_member
    from tuning.training.plan import PlannedMember, TrainSettings

    tiny = Architecture(size=32, widths="4-8", block="plain", dropout=0.0, learning_rate=0.01)
    films, settings = (
        TrainingFilms(noise_films(24, 0), noise_films(20, 1)),
        TrainSettings(batch=4, mixup=0.2, occlusion=0.5),
    )
    member = PlannedMember("tiny", 3, tiny, epochs=3)
    kept = Checkpoint.on_epoch_end

    def stopped(checkpoint: Checkpoint, epoch: int, logs: dict[str, float] | None = None) -> None:
        kept(checkpoint, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    histories = []
    for out in (tmp_path / "unbroken", tmp_path / "broken"):
        out.mkdir()
        if out.name == "broken":
            monkeypatch.setattr(Checkpoint, "on_epoch_end", stopped)
            with pytest.raises(KeyboardInterrupt), eagerly():
                train_member(member, films, settings, out)
            monkeypatch.undo()
            assert len(read_history(out, "tiny")) == 2
        with eagerly():
            train_member(member, films, settings, out)
        histories.append([{name: float(value) for name, value in row.items()} for row in read_history(out, "tiny")])
    assert len(histories[0]) == 3
    assert histories[1] == [pytest.approx(row, rel=1e-4, abs=1e-6) for row in histories[0]]


def test_a_training_whose_loss_is_no_number_ends_and_keeps_nothing_of_it(tmp_path):
    from tuning.networks.architecture import Architecture
    from tuning.training.member import TrainingFilms, train_member
    from tuning.training.plan import PlannedMember, TrainSettings

    tiny = Architecture(size=32, widths="4-8", block="plain", learning_rate=0.01)
    films = TrainingFilms(noise_films(8, 0), noise_films(8, 1), targets=np.full((8, 5), np.nan, np.float32))
    with pytest.raises(DataError, match=r"tiny learns nothing any more: in epoch 1, .* its loss became nan"), eagerly():
        train_member(PlannedMember("tiny", 3, tiny, epochs=3), films, TrainSettings(batch=4), tmp_path)
    assert not list(tmp_path.glob("member-*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a worker notices the end of its chief by its parent")
@pytest.mark.usefixtures("formulas")
def test_a_search_whose_chief_is_killed_keeps_its_trials_and_goes_on_in_one_process(audited, tmp_path, monkeypatch):
    (tmp_path / "unending.py").write_text(UNENDING, "utf-8")
    out = tmp_path / "search"
    command = [
        *("search", "--data", audited, "--out", out, "--tuner", "random", "--trials", 3, "--epochs", 1, "--films", 40),
        *(f"--only={choice}={value}" for choice, (value,) in ONE_GRAPH.items()),
    ]

    def finished() -> list[Path]:
        """The trial.json of each trial that has ended by the state of the search."""
        try:
            ended = json.loads((out / "tuner" / "oracle.json").read_text("utf-8"))["end_order"]
        except FileNotFoundError:
            return []
        return [out / "tuner" / f"trial_{trial}" / "trial.json" for trial in ended]

    # JAX is loaded in a third of the time of TensorFlow, and the formula needs neither.
    quick = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    kill_when(start("--with", tmp_path / "unending.py", *command, "--workers", 1, **quick), finished)
    log = out / "logs" / "worker-0.log"
    until(lambda: "the chief of" in log.read_text("utf-8"))
    scores = {path: json.loads(path.read_text("utf-8"))["score"] for path in finished()}
    assert len(scores) == 1
    trained: list[str] = []
    train = Formula.train

    def noted(self: Formula, values, epochs, callbacks, folder: Path) -> dict[str, float]:
        trained.append(folder.name)
        return train(self, values, epochs, callbacks, folder)

    monkeypatch.setattr(Formula, "train", noted)
    monkeypatch.setattr(extensions, "LOADED", [tmp_path / "unending.py"])
    assert main([*map(str, command), "--workers", "0"]) == 0
    assert sorted(trained) == ["trial_1", "trial_2"]  # not again the one that had ended
    assert {path: json.loads(path.read_text("utf-8"))["score"] for path in scores} == scores
    with (out / "trials.csv").open(newline="", encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    assert len(trials) == len({row["trial"] for row in trials}) == 3
    assert json.loads((out / "best.json").read_text("utf-8"))["trials"] == 3


@pytest.mark.slow
def test_two_searches_with_the_default_seed_find_the_same(audited, tmp_path):
    from tuning.search import search
    from tuning.searching.settings import SearchSettings

    small = SearchSettings("random", trials=2, epochs=1, films=20, validation_films=20, batch=10, only=ONE_GRAPH)
    measured = ("milliseconds", "seconds", "ended")
    with eagerly():
        for name, settings in (("first", small), ("second", small), ("other", replace(small, seed=1, trials=1))):
            search(audited, tmp_path / name, settings)
    first, second, other = (
        [
            {column: value for column, value in row.items() if column not in measured}
            for row in csv.DictReader(io.StringIO((tmp_path / name / "trials.csv").read_text("utf-8")))
        ]
        for name in ("first", "second", "other")
    )
    assert len(first) == 2
    assert first == second
    assert other[0] not in first


def test_a_network_that_has_not_trained_yet_takes_up_the_state_of_the_optimizer(tmp_path):
    from kneeoa_hub.keras_files import load_weights
    from tuning.networks.architecture import Architecture, compiled
    from tuning.run.weights import save_weights

    small = Architecture(size=96, widths="32-64-128-192", blocks=1)
    before, after = compiled(small), compiled(small)
    before.optimizer.iterations.assign(7)
    save_weights(before, tmp_path / "a.weights.h5")
    load_weights(after, tmp_path / "a.weights.h5")  # Keras would warn of an optimizer without variables, and skip it
    assert int(after.optimizer.iterations) == 7


@pytest.fixture
def model() -> "keras.Model":
    import keras

    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.Dense(1)(image))
    optimizer = keras.optimizers.AdamW(0.1)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    return model


def train(model: "keras.Model", checkpoint: "Checkpoint", kappas: list[float]) -> None:
    """As many epochs as there are kappas, of STEPS steps each, reported as if each had reached its kappa."""
    checkpoint.set_model(model)
    for kappa in kappas:
        for _ in range(STEPS):
            model.train_on_batch(np.ones((1, 2), np.float32), np.zeros((1, 1), np.float32))
        checkpoint.on_epoch_end(len(checkpoint.rows), {"val_qwk": kappa})


def test_the_best_epoch_is_kept_and_patience_counts_across_a_kill(model, tmp_path):
    from tuning.training.checkpoint import Checkpoint

    train(model, Checkpoint(tmp_path, "0", 10, 2, STEPS), [0.1, 0.5])
    best = [np.array(value) for value in model.get_weights()]
    resumed = Checkpoint(tmp_path, "0", 10, 2, STEPS)
    assert resumed.resume(model) == 2
    train(model, resumed, [0.4])
    assert not resumed.finished
    train(model, resumed, [0.3])
    assert resumed.finished
    assert model.stop_training
    resumed.finish(tmp_path / "member-0.weights.h5")
    assert not (tmp_path / "member-0.backup").exists()
    model.load_weights(tmp_path / "member-0.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(best, model.get_weights(), strict=True))


def test_without_patience_the_end_is_kept_whatever_its_kappa(model, tmp_path):
    from tuning.training.checkpoint import Checkpoint, kept_kappa, read_history

    train(model, Checkpoint(tmp_path, "0", 4, 0, STEPS), [0.1, 0.5, 0.4])
    resumed = Checkpoint(tmp_path, "0", 4, 0, STEPS)
    assert resumed.resume(model) == 3
    assert not resumed.finished  # however long the kappa has not been better
    train(model, resumed, [0.3])
    assert resumed.finished
    end = [np.array(value) for value in model.get_weights()]
    resumed.finish(tmp_path / "member-0.weights.h5")
    assert not (tmp_path / "member-0.backup").exists()
    assert not (tmp_path / "member-0.best.weights.h5").exists()
    model.load_weights(tmp_path / "member-0.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(end, model.get_weights(), strict=True))
    assert kept_kappa(read_history(tmp_path, "0"), patience=0) == 0.3
    assert kept_kappa(read_history(tmp_path, "0"), patience=4) == 0.5


def test_a_kill_between_history_and_weights_costs_that_epoch_alone(model, tmp_path):
    from tuning.training.checkpoint import Checkpoint

    train(model, Checkpoint(tmp_path, "0", 10, 9, STEPS), [0.1, 0.2])
    history = tmp_path / "member-0.history.csv"
    history.write_text(history.read_text("utf-8") + "2,0.9\n", "utf-8")
    resumed = Checkpoint(tmp_path, "0", 10, 9, STEPS)
    assert resumed.resume(model) == 2
    assert resumed.kappas == [0.1, 0.2]


def test_a_kill_before_the_best_weights_were_copied_is_repaired(model, tmp_path):
    from tuning.training.checkpoint import Checkpoint

    train(model, Checkpoint(tmp_path, "0", 10, 9, STEPS), [0.1, 0.2])
    (tmp_path / "member-0.best.weights.h5").unlink()
    Checkpoint(tmp_path, "0", 10, 9, STEPS).resume(model)
    assert (tmp_path / "member-0.best.weights.h5").read_bytes() == (
        tmp_path / "member-0.backup" / "latest.weights.h5"
    ).read_bytes()


def test_kept_weights_that_are_damaged_are_named(model, tmp_path):
    from tuning.training.checkpoint import Checkpoint

    train(model, Checkpoint(tmp_path, "0", 10, 9, STEPS), [0.1])
    newest = tmp_path / "member-0.backup" / "latest.weights.h5"
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(DataError, match=r"latest\.weights\.h5 can't be read"):
        Checkpoint(tmp_path, "0", 10, 9, STEPS).resume(model)
