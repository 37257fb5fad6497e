"""An audit of synthetic films that several test modules read and no test changes."""

from pathlib import Path

import pytest

from kneeoa_hub.imaging.phantom import write_films


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an audit of 60 synthetic films of the dataset "synthetic"."""
    from tuning.audit import audit

    root = tmp_path_factory.mktemp("audited")
    write_films(root / "films", 60)
    return audit([f"synthetic={root / 'films'}"], root / "audit")
