"""Films for the tests: synthetic ones always, real ones where KNEEOA_DATA names their folder."""

from pathlib import Path

import pytest
from PIL import Image

import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.settings import Settings


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with the real films. Without it the tests that need them are skipped, and pytest counts them aloud."""
    folder = Settings.from_environ().data
    if not folder:
        pytest.skip("KNEEOA_DATA is not set: no real films here")
    return Path(folder)


@pytest.fixture(scope="session")
def grader() -> kneeoa_hub.KneeGrader:
    return kneeoa_hub.from_pretrained()


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The synthetic sample films as PNG files, by name."""
    folder = tmp_path_factory.mktemp("films")
    paths = {}
    for name, phantom in sample_films().items():
        paths[name] = folder / f"{name}.png"
        Image.fromarray(phantom.pixels).save(paths[name])
    return paths
