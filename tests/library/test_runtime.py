"""A network with an invalid output, or with no output, is a BundleError before any memory or time is lost."""

import resource
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub import runtime
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import BundleError
from kneeoa_hub.runtime import Network
from kneeoa_hub.watchdog import watchdog

from ..support.bundles import tiny_graph
from ..support.graphs import endless_graph, huge_graph, laughing_graph, lying_graph

IMAGE = np.zeros((1, 256, 256, 1), np.float32)


def network(graph: bytes, folder: Path) -> Network:
    path = folder / "model.onnx"
    path.write_bytes(graph)
    return Network(path, InputConfig(256, 256))


def test_probabilities_are_probabilities(tmp_path: Path):
    assert network(tiny_graph(), tmp_path).run(IMAGE).probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "answer",
    [(0,) * 5, (np.nan,) * 5, (np.inf, 0, 0, 0, 0), (1, 1, 0, 0, 0), (-0.5, 1.5, 0, 0, 0), (0.5, 0.5, 0, 0)],
    ids=["zeros", "NaN", "infinity", "sum of 2", "negative", "four grades"],
)
def test_a_network_that_gives_no_probabilities_is_a_damaged_bundle(answer: tuple[float, ...], tmp_path: Path):
    with pytest.raises(BundleError, match=r"model.onnx .*ull the bundle again"):
        network(lying_graph(answer), tmp_path).run(IMAGE)


def test_a_network_that_never_finishes_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "RUN_SECONDS", 0.5)
    endless = network(endless_graph(), tmp_path)
    with pytest.raises(BundleError, match=r"can't be run .*did not end in 0.5 s"):
        endless.run(IMAGE)


def test_a_block_that_only_waits_for_the_processor_is_not_ended():
    ended = threading.Event()
    with watchdog.ending(0.5, ended.set, computing=True):
        assert not ended.wait(1.5)
    with watchdog.ending(0.5, ended.set):
        assert ended.wait(30)


@pytest.mark.skipif(sys.platform != "linux", reason="a peak is counted in kilobytes on Linux alone")
def test_a_constant_of_forty_gigabytes_takes_no_memory(tmp_path: Path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError, match=r"can't be (run|opened)"):
        network(huge_graph(), tmp_path).run(IMAGE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_functions_that_call_each_other_are_refused_before_they_are_put_in(tmp_path):
    with pytest.raises(BundleError, match="it has functions"):
        network(laughing_graph(), tmp_path)
    with pytest.raises(BundleError, match="it is cut off"):
        network(b"\xff" * 12, tmp_path)
