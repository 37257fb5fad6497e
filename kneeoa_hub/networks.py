"""The networks of a bundle, opened for grading."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .bundle import GATE, LOCATOR, Bundle
from .errors import BundleError
from .imaging.gate import Gate
from .imaging.locate import Locator, find_knees
from .imaging.screen import Screener
from .runtime import GateNetwork, Network


@dataclass(frozen=True)
class Networks:
    """What grades, and what finds the knees and decides which of them are graded."""

    grading: Network
    screener: Screener


def open_networks(bundle: Bundle, threads: int) -> Networks:
    """Open the graphs of a bundle, each in a thread of its own, since onnxruntime takes long to optimise one.

    Args:
        bundle: The verified bundle.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.

    Raises:
        BundleError: A graph cannot be opened, or has another form than bundle.json says.
    """
    config, folder = bundle.config, bundle.folder
    framed = config.input.crop == "frame"
    with ThreadPoolExecutor(3) as pool:
        grading = pool.submit(lambda: Network(folder / "model.onnx", config.input, threads))
        finds = gates = None
        if locating := config.locator:
            finds = pool.submit(lambda: Locator(folder / LOCATOR, locating, threads, square=framed))
        if limits := config.gate:
            gates = pool.submit(lambda: Gate(GateNetwork(folder / GATE, limits.size, threads), limits))
        network = grading.result()
        _check_embedding(bundle, network.embedding_width)
        locator, gate = finds.result() if finds else None, gates.result() if gates else None
        if not locator:
            return Networks(network, Screener(find_knees, gate, square=framed))
        return Networks(network, Screener(locator.find, gate, square=framed, locate_faint=locator.find_faint))


def _check_embedding(bundle: Bundle, width: Any) -> None:
    """Raise BundleError where the network's embedding is not as wide as the mean that distances are measured from."""
    mean = len(bundle.config.refusal.mean)
    if isinstance(width, int) and width != mean:
        raise BundleError(
            f"{bundle.folder}: the network's embedding has {width} values, but the mean in bundle.json has {mean}; pull"
            " the bundle again."
        )
