"""A queue in a folder of the test, with a clock that the test sets."""

from collections.abc import Iterator

import pytest

from flask_app.node.queue import Queue
from flask_app.node.settings import NodeSettings

from ...support.node_queue import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path, clock) -> Iterator[Queue]:
    queue = Queue(tmp_path / "queue", clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def settings(tmp_path) -> NodeSettings:
    return NodeSettings(folder=str(tmp_path / "queue"), port=0, settle=0, timeout=10)
