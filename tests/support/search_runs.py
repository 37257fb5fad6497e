"""Tests of a search share its options, its ends, and what its trials found."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kneeoa_hub.files import replacing

from .formula import Formula

if TYPE_CHECKING:
    from tuning.searching.durable import Durable
    from tuning.searching.settings import SearchSettings

ONLY = {
    "size": ["96", "160"],
    "view": ["whole"],
    "fold": ["True"],
    "stem": ["conv5"],
    "block": ["plain", "residual"],
    "widths": ["32-64-128-192"],
    "blocks": ["1"],
    "normalisation": ["True"],
    "pooling": ["average"],
    "dense": [""],
    "loss": ["soft_ordinal"],
    "augmentation": ["0.7"],
    "weight_decay": ["0.01"],
}


class KillError(BaseException):
    """This error ends a search at once, as SIGKILL does: nothing of the search catches it."""


def settings_for(tuner: str, **changes: Any) -> "SearchSettings":
    from tuning.searching.settings import SearchSettings

    small = {"trials": 5, "epochs": 3, "least_epochs": 1, "iterations": 1, "only": ONLY}
    return SearchSettings(**{"tuner": tuner, **small, **changes})


def found(out: Path) -> dict[str, tuple[Any, ...]]:
    """Return what the trials drew, how they ended and what they reached, by their number."""
    states = [json.loads(path.read_text("utf-8")) for path in sorted((out / "tuner").glob("trial_*/trial.json"))]
    kept = json.loads((out / "tuner" / "oracle.json").read_text("utf-8"))
    assert sorted(kept["end_order"]) == sorted(state["trial_id"] for state in states)  # each one ended, and once
    return {
        state["trial_id"]: (
            state["hyperparameters"]["values"],
            state["status"],
            pytest.approx(state["score"], abs=1e-6),
        )
        for state in states
    }


def search_without_report(audited: Path, out: Path, settings: "SearchSettings", monkeypatch: pytest.MonkeyPatch):
    import tuning.search

    with monkeypatch.context() as patch:
        patch.setattr(tuning.search, "write_report", lambda *_, **__: None)
        tuning.search.search(audited, out, settings)


@contextlib.contextmanager
def killed_at(
    write: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] = KillError
) -> Iterator[list[int]]:
    """End the search by an error in the middle of its n-th write; yields the writes so far."""
    import tuning.searching.durable as durable

    writes = [0]

    @contextlib.contextmanager
    def counted(path: Path) -> Iterator[Path]:
        writes[0] += 1
        with replacing(path) as part:
            yield part
            if writes[0] == write:
                raise error

    with monkeypatch.context() as patch:
        patch.setattr(durable, "replacing", counted)
        yield writes


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[Path]:
    """Stands for `files.replacing` where the disk is full: what is written to the path that it yields finds no room."""
    with replacing(path) as part:
        part.symlink_to("/dev/full")
        yield part


def failing(error: BaseException, every: int = 1):
    """Return a training of which every n-th one fails."""
    train, count = Formula.train, [0]

    def fails(self: Formula, *arguments: Any) -> dict[str, float]:
        count[0] += 1
        if count[0] % every == 0:
            raise error
        return train(self, *arguments)

    return fails


def oracle_in(out: Path, tuner: str = "random", **changes: Any) -> "Durable":
    from tuning.searching.oracle import oracle_of
    from tuning.searching.space import space_of

    settings = settings_for(tuner, **changes)
    oracle = oracle_of(settings, space_of(settings), ())
    oracle.take_up(out)
    return oracle
