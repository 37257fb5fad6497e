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
