"""The ensemble of a search: the best trial, then those that lower the log loss of the mean answer most."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kneeoa_hub.errors import DataError

if TYPE_CHECKING:
    from tuning.training.search_result import Trial

pytestmark = pytest.mark.keras
TRUTH = np.repeat(np.arange(5), 40)


def trial(number: int, **measures: object) -> "Trial":
    from tuning.networks.architecture import Architecture
    from tuning.training.search_result import Trial

    made = Trial(f"{number:04}", 1.0, None, 0.5, None, 9, "", 1_000_000, None, None, 60.0, None, Architecture())
    return replace(made, **measures)


def chosen(search: Path, trials: "list[Trial]", noise: dict[str, int]) -> list[str]:
    """Let each trial answer with the noise of a seed, and return the numbers of those that are chosen."""
    from tuning.searching.choice import choose
    from tuning.searching.predictions import keep_predictions
    from tuning.training.search_result import trial_folder

    for one in trials:
        logits = np.random.default_rng(noise[one.trial]).normal(0, 1, (200, 5)) + 2 * np.eye(5)[TRUTH]
        answers = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        keep_predictions(trial_folder(search, one.trial), answers, TRUTH)
    return [one.trial.trial for one in choose(trials, search).chosen]


def test_trials_that_err_on_other_films_join_and_a_copy_does_not(tmp_path: Path) -> None:
    trials = [trial(0), trial(1), trial(2)]
    found = chosen(tmp_path, trials, {"0000": 0, "0001": 0, "0002": 1})
    assert len(found) == 2
    assert "0002" in found


@pytest.mark.parametrize(
    "other",
    [{"epochs": 3}, {"parameters": 7_000_000}, {"reach": 1.15}],
    ids=["of a shorter rung", "too large together", "another frame"],
)
def test_a_trial_that_does_not_fit_stays_out(tmp_path: Path, other: dict[str, object]) -> None:
    first, second = trial(0), trial(1)
    if "reach" in other:
        framed = {"crop": "frame"}
        first = replace(first, architecture=replace(first.architecture, **framed))
        second = replace(second, architecture=replace(second.architecture, **framed, **other))
    else:
        second = replace(second, **other)
    assert len(chosen(tmp_path, [first, second], {"0000": 0, "0001": 1})) == 1


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_a_trial_whose_answers_cannot_be_read_stays_out_and_is_named(tmp_path: Path, fault: str) -> None:
    from tuning.searching.choice import choose
    from tuning.training.search_result import trial_folder

    trials = [trial(0), trial(1), trial(2)]
    assert chosen(tmp_path, trials, {"0000": 0, "0001": 0, "0002": 1}) == ["0000", "0002"]
    path = trial_folder(tmp_path, "0000") / "answers.npz"
    if fault == "missing":
        path.unlink()
        why = f"Its answers for validation films, {path}, are missing."
    else:
        path.write_bytes(path.read_bytes()[:100])
        why = f"{path} can't be read"
    found = choose([*trials, trial(3, epochs=3)], tmp_path)  # a shorter trial is not missed
    assert [one.trial.trial for one in found.chosen] == ["0001", "0002"]
    (said,) = found.left_out
    assert said.startswith(f"Trial 0000 is left out of the ensemble. {why}")


def test_a_search_without_any_answers_chooses_none_and_says_why(tmp_path: Path) -> None:
    from tuning.searching.choice import choose

    found = choose([trial(0)], tmp_path)
    assert (found.chosen, len(found.left_out)) == ([], 1)


def test_a_search_whose_trials_are_all_too_large_chooses_none_and_says_why(tmp_path: Path) -> None:
    from tuning.searching.choice import choose
    from tuning.training.search_result import chosen_trials, write_result

    trials = [trial(0, parameters=8_000_000)]
    assert chosen(tmp_path, trials, {"0000": 0}) == []
    write_result(tmp_path, trials, "random", "log_loss", (), choose(trials, tmp_path).left_out)
    with pytest.raises(DataError, match=r"Trial 0000 is left out of the ensemble. It has 8,000,000 parameters"):
        chosen_trials(tmp_path)
