"""What all tests share: films, synthetic ones always and real ones where KNEEOA_DATA names their folder, a grader, and
the order of the tests.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.settings import Settings


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on real films, and put the files first that take long, so that no process ends long after another.

    Files that need Keras are the longest. Each process that runs one imports TensorFlow once, which takes ten seconds.
    Of the files that need the output of the whole loop, one begins and makes it. The others come after the other files
    that need Keras, so that no process waits for the loop.
    """
    for item in items:
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker("films")
    long = {item.path for item in items if item.get_closest_marker("slow")}
    of_loop = sorted({item.path for item in items if "loop" in getattr(item, "fixturenames", ())})
    items.sort(
        key=lambda item: (item.get_closest_marker("keras") is None, item.path in of_loop[1:], item.path not in long)
    )


@pytest.fixture(autouse=True)
def _absl_leaves_the_stream_of_pytest() -> Iterator[None]:
    """absl, below Keras, closes the stream that it logs to when a server sets its own logging up."""
    yield
    if logging := sys.modules.get("absl.logging"):
        logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with the real films. Without it the tests that need them are skipped, and pytest counts them aloud."""
    folder = Settings.from_environ().data
    if not folder:
        pytest.skip("KNEEOA_DATA is not set: no real films here")
    return Path(folder)


@pytest.fixture(scope="session")
def grader() -> kneeoa_hub.KneeGrader:
    return kneeoa_hub.from_pretrained(threads=1)  # other tests run beside it


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The synthetic sample films as PNG files, by name."""
    folder = tmp_path_factory.mktemp("films")
    paths = {}
    for name, phantom in sample_films().items():
        paths[name] = folder / f"{name}.png"
        Image.fromarray(phantom.pixels).save(paths[name])
    return paths
