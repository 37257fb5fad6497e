"""What all tests share: films, synthetic ones always and real ones where KNEEOA_DATA names their folder, a grader, the
order of the tests, and their memory.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.settings import Settings
from kneeoa_hub.third_party import lighten_gradio


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on real films, and put the files first that take long, so that no process ends long after another.

    Files that need Keras keep a processor busy; those that start servers and browsers wait for a good part of their
    time. The two kinds take turns, so that one process of the run computes while another one waits. Of the files that
    need the output of the whole loop, one begins and makes it. The others come after half of the files that need Keras,
    so that no process waits for the loop. The quick tests of the library are the last.
    """
    for item in items:
        if "data" in _fixtures(item):
            item.add_marker("films")
    files = list(dict.fromkeys(item.path for item in items))
    keras = {item.path for item in items if item.get_closest_marker("keras")}
    waiting = {item.path for item in items if item.get_closest_marker("slow")} | {
        path for path in files if {"flask_app", "spaces"} & set(path.parts)
    }
    of_loop = [path for path in files if path in {item.path for item in items if "loop" in _fixtures(item)}]
    others = [path for path in files if path in keras and path not in of_loop]
    half = len(others) // 2
    computing = [*of_loop[:1], *others[:half], *of_loop[1:], *others[half:]]
    serving = [path for path in files if path in waiting and path not in computing]
    turns = {path: number / len(group) for group in (computing, serving) for number, path in enumerate(group)}
    items.sort(key=lambda item: turns.get(item.path, 1.0))


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def pytest_configure() -> None:
    """Collect garbage rarely: with Python's own thresholds it takes a quarter of the time of a test of Keras.

    No test needs the grammar of addresses that jsonschema would build in each process.
    """
    gc.set_threshold(50_000, 20, 20)
    lighten_gradio()


@pytest.fixture(scope="module", autouse=True)
def _memory_of_a_file_is_freed() -> Iterator[None]:
    """A process of the tests would keep gigabytes: Keras its graphs, and a step of `tuning` all that was ever freed.

    What is left belongs to the session or to modules, and is not looked at again.
    """
    yield
    if (keras := sys.modules.get("keras")) and "tensorflow" in sys.modules:
        keras.utils.clear_session()
    gc.collect()
    gc.freeze()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(autouse=True)
def _absl_leaves_the_stream_of_pytest() -> Iterator[None]:
    """absl, below Keras, closes the stream that it logs to when a server sets its own logging up."""
    yield
    if logging := sys.modules.get("absl.logging"):
        logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session", autouse=True)
def _uploads_are_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gradio names an upload by its content alone, and a demo that stops deletes its uploads: in a shared folder it
    would delete the same film under another process's demo.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield


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
