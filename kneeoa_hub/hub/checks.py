"""Checks that a bundle may be published: it is complete, described and measured, and can grade a film."""

from ..bundle import GATE, LOCATOR, Bundle
from ..errors import BundleError, BundleIncomplete
from ..imaging.letterbox import network_input
from ..imaging.locate import Locator
from ..imaging.phantom import knee_film
from ..runtime import GateNetwork, Network

METADATA: dict[str, str | None] = {"library_name": "keras", "pipeline_tag": "image-classification", "license": None}
"""The Hub recognises the model by this metadata, each with its value. None accepts any value."""


def check_publishable(bundle: Bundle) -> None:
    """Raise a BundleError that names what a verified bundle lacks to be published."""
    if bundle.evidence.export is None:
        raise BundleIncomplete(
            f"{bundle.folder}: evidence.json has no `export`; write the bundle with `python -m tuning export`."
        )
    _check_card(bundle)
    _check_networks(bundle)


def _check_card(bundle: Bundle) -> None:
    from huggingface_hub import metadata_load

    path = bundle.folder / "README.md"
    if not path.is_file():
        raise BundleIncomplete(
            f"{bundle.folder}: README.md, the model card, is missing; write it with `kneeoa card {bundle.folder} >"
            " README.md`."
        )
    try:
        metadata = metadata_load(path) or {}
    except Exception as error:  # YAML and the Hub's client raise many types for a damaged header
        raise BundleError(
            f"{path}: its metadata is not YAML ({' '.join(str(error).split())}); write it again with `kneeoa card`."
        ) from None
    for name, wanted in METADATA.items():
        if not metadata.get(name) or (wanted and metadata[name] != wanted):
            raise BundleError(
                f"{path}: its metadata has {name}: {metadata.get(name)}, but needs {wanted or 'a value'}; write it"
                " again with `kneeoa card`."
            )


def _check_networks(bundle: Bundle) -> None:
    """Run every network of the bundle on a sample film."""
    config = bundle.config.input
    film = knee_film(2, seed=0).pixels
    network = Network(bundle.folder / "model.onnx", config)
    locator = Locator(bundle.folder / LOCATOR, bundle.config.locator) if bundle.config.locator else None
    gate = GateNetwork(bundle.folder / GATE, bundle.config.gate.size) if bundle.config.gate else None
    whole = (0, 0, film.shape[1], film.shape[0])
    try:
        if locator:
            locator.find(film)
        if gate:
            gate.run(network_input(film, whole, gate.input)[None])
        network.run(network_input(film, whole, config)[None])
    except BundleError:
        raise
    except Exception as error:  # the exceptions of onnxruntime have no public base class
        raise BundleError(
            f"{bundle.folder}: its networks can't find and grade a sample film ({type(error).__name__}: {error});"
            " export the bundle again."
        ) from None
