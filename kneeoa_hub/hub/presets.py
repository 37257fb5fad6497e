"""Lists the bundles that ship with the package."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle import read_bundle
from ..errors import AddressError
from ..manifest import bundle_files
from ..sources import title
from .address import did_you_mean

if TYPE_CHECKING:
    from ..evidence import Evidence

_PRETRAINED = Path(__file__).parent.parent / "pretrained"
HEADLINES = ("oai_test",)
"""A list of models shows the kappa on these test sets."""


@dataclass(frozen=True)
class Preset:
    """Describes a shipped bundle by name, description, licence of the weights, and folder in the package."""

    name: str
    description: str
    licence: str
    folder: Path


DEFAULT = "kneeoa-cnn"
"""This bundle is used if no address is given."""
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "kneeoa-cnn",
            "Kellgren-Lawrence grades of frontal knee radiographs, by convolutional networks",
            "CC BY 4.0",
            _PRETRAINED / "kneeoa-cnn",
        ),
    )
}
"""Each shipped bundle stands here under its name."""


@dataclass(frozen=True)
class Figure:
    """Holds a measured value with its 95% interval, over n films."""

    test_set: str
    metric: str
    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        interval = f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.metric.upper()} {self.value:.3f} ({interval}; {title(self.test_set)}, {self.n} knees)"


@dataclass(frozen=True)
class Pretrained:
    """Describes a shipped bundle with its headline figures, as `list_pretrained` lists it.

    Attributes:
        name: The name to give to `from_pretrained`.
        version: The bundle's version.
        description: What it grades.
        licence: The licence of its weights.
        size: Its size in bytes.
        figures: The figures of HEADLINES that its evidence holds.
    """

    name: str
    version: str
    description: str
    licence: str
    size: int
    figures: tuple[Figure, ...]

    def __str__(self) -> str:
        parts = (
            f"{self.name} {self.version}",
            self.description,
            f"{self.size / 1e6:.1f} MB",
            self.licence,
            *map(str, self.figures),
        )
        return "; ".join(parts)


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises AddressError, which suggests the nearest name and the other forms of an address.
    """
    if name in PRESETS:
        return PRESETS[name]
    guess = did_you_mean(name, PRESETS)
    known = ", ".join(PRESETS)
    raise AddressError(
        f"No shipped model is called {name!r}.{guess} Shipped: {known}. A folder is written './{name}', a repo on the"
        " Hub 'org/name'."
    )


def list_pretrained() -> list[Pretrained]:
    """Verify and describe every shipped bundle.

    Raises:
        BundleError: A shipped bundle is damaged.

    Examples:
        >>> import kneeoa_hub
        >>> [model.name for model in kneeoa_hub.list_pretrained()]
        ['kneeoa-cnn']
    """
    return [_described(preset) for preset in PRESETS.values()]


def _described(preset: Preset) -> Pretrained:
    bundle = read_bundle(preset.folder)
    size = sum(path.stat().st_size for path in bundle_files(preset.folder))
    figures = tuple(_headlines(bundle.evidence))
    return Pretrained(preset.name, bundle.config.version, preset.description, preset.licence, size, figures)


def _headlines(evidence: "Evidence") -> Iterator[Figure]:
    for test_set in HEADLINES:
        if measured := evidence.metrics.get(test_set):
            qwk = measured.qwk
            yield Figure(test_set, "qwk", qwk.value, qwk.low, qwk.high, qwk.n)
