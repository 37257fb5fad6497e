"""Outputs of the loop on synthetic films that several test modules read and no test changes."""

from pathlib import Path

import pytest

from kneeoa_hub.imaging.phantom import write_films

from ..support.shared import made_once


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an audit of 60 synthetic films of the dataset "synthetic"."""

    def make(root: Path) -> None:
        from tuning.audit import audit

        write_films(root / "films", 60)
        audit([f"synthetic={root / 'films'}"], root / "audit")

    return made_once(tmp_path_factory, "audited", make) / "audit"


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the output of every step."""
    from ..support.loop import run_loop

    return made_once(tmp_path_factory, "loop", run_loop)


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas stand for the trainings of a search, see `support.formula`."""
    import tuning.searching.trial
    import tuning.searching.tuner

    from ..support.formula import Formula

    monkeypatch.setattr(tuning.searching.trial, "TrialTrainer", Formula)
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
