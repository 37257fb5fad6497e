"""Outputs of the loop on synthetic films that several test modules read and no test changes."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from kneeoa_hub.imaging.phantom import write_films


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an audit of 60 synthetic films of the dataset "synthetic"."""
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("audited")
    write_films(root / "films", 60)
    return audit([f"synthetic={root / 'films'}"], root / "audit")


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the output of every step. The first process that asks makes it for all processes of this run."""
    from ..support.loop import run_loop

    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    with FileLock(shared / "loop.lock"):
        if not (shared / "loop" / "hub").exists():
            run_loop(shared / "loop")
    return shared / "loop"


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas stand for the trainings of a search, see `support.formula`."""
    import tuning.search
    import tuning.searching.tuner

    from ..support.formula import Formula

    monkeypatch.setattr(tuning.search, "TrialTrainer", Formula)
    monkeypatch.setattr(tuning.searching.tuner, "IDLE_S", 0.0)


@pytest.fixture
def begun(audited: Path, formulas: None, tmp_path: Path) -> Path:
    """The folder of a random search that was killed in its first trial."""
    import tuning.search

    from ..support.formula import Formula
    from ..support.search_runs import KillError, failing, settings_for

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Formula, "train", failing(KillError()))
        with pytest.raises(KillError):
            tuning.search.search(audited, tmp_path / "search", settings_for("random"))
    return tmp_path / "search"
