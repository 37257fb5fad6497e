"""Opens the networks of a bundle for grading."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .bundle import GATE, LOCATOR, Bundle
from .imaging.gate import Gate
from .imaging.locate import Locator, find_knees
from .imaging.screen import Screener
from .runtime import GateNetwork, Network, open_grading


@dataclass(frozen=True)
class Networks:
    """Holds the grading network, which may still be opening, and the screener."""

    grading: Future[Network]
    screener: Screener


def open_networks(bundle: Bundle, threads: int, grading: Future[Network] | None = None) -> Networks:
    """Open the graphs of a bundle, each in a thread of its own, since onnxruntime takes long to optimise one.

    Args:
        bundle: The verified bundle.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.
        grading: The grading network if it is already being opened. This function does not wait for it.

    Raises:
        BundleError: A graph cannot be opened, or has another form than bundle.json says.
    """
    config, folder = bundle.config, bundle.folder
    framed = config.input.crop == "frame"
    with ThreadPoolExecutor(3) as pool:
        network = grading or pool.submit(open_grading, bundle, threads)
        finds = gates = None
        if locating := config.locator:
            finds = pool.submit(lambda: Locator(folder / LOCATOR, locating, threads, square=framed))
        if limits := config.gate:
            gates = pool.submit(lambda: Gate(GateNetwork(folder / GATE, limits.size, threads), limits))
        if not grading:
            network.result()
        locator, gate = finds.result() if finds else None, gates.result() if gates else None
        if not locator:
            return Networks(network, Screener(find_knees, gate, square=framed))
        return Networks(network, Screener(locator.find, gate, square=framed, locate_faint=locator.find_faint))
