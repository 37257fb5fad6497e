"""The search space has the values of every choice of an architecture, and the networks designed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kneeoa_hub.errors import SettingsError

from . import backbones
from .architecture import Architecture


@dataclass(frozen=True)
class Recipe:
    """A recipe has the choices of a training that are no part of its network; a search on an accelerator draws them.

    Their defaults were chosen by hand, for the networks of release 0.9.0 and later ones.

    Attributes:
        mixup: How strongly films are mixed, see `data.changes.draw`.
        occlusion: Proportion of the films of which a rectangle is erased.
        taught: Proportion of the target that is the answer of the teacher, where there is one.
    """

    mixup: float = 0.3
    occlusion: float = 0.4
    taught: float = 0.6


BASELINE_2023 = Architecture(
    256, "whole", "none", "unpadded", "128-64-32", 1, False, "flatten", "128-64", 0.2, "cross_entropy", 1e-3, 0.0
)
"""This is the CNN of IEEE 10724941, as a point of the search space."""
_LITE0 = Architecture(
    288, fold=True, backbone="lite0", crop="frame", dropout=0.3, learning_rate=8e-4, augmentation=1.0, weight_decay=0.6
)
NAMED = {
    "residual": Architecture(crop="frame"),
    "folded": Architecture(fold=True, crop="frame"),
    "folded-fine": Architecture(fold=True, stem="none", widths="16-32-64-128-192", crop="frame"),
    "folded-joint-line": Architecture(fold=True, view="band", crop="frame"),
    "joint-line": Architecture(size=192, view="band", block="plain", blocks=2, loss="coral", crop="frame"),
    "baseline-2023": BASELINE_2023,
    "folded-lite0": _LITE0,
    "folded-lite1": replace(_LITE0, backbone="lite1"),
}
"""`train --architecture` knows these networks, which were designed by hand, by their names; the last two are those of
release 0.11.0. They are the first trials of a search whose search space holds them."""
SEARCH_SPACE: dict[str, tuple[Any, ...]] = {
    "size": (96, 128, 160, 192, 224, 256, 288),
    "view": ("whole", "band"),
    "fold": (False, True),
    "stem": ("conv5", "none"),
    "block": ("plain", "residual", "separable", "squeeze_excite", "unpadded"),
    "widths": ("16-32-64-128", "32-64-128-192", "48-96-192", "128-64-32", "16-32-64-128-192"),
    "blocks": (1, 2),
    "normalisation": (True, False),
    "pooling": ("average", "max", "attention", "flatten"),
    "dense": ("", "64", "128-64"),
    "dropout": (0.0, 0.2, 0.3, 0.4),
    "loss": ("cross_entropy", "soft_ordinal", "coral"),
    "learning_rate": (3e-4, 8e-4, 1e-3, 2e-3, 4e-3),
    "augmentation": (0.0, 0.35, 0.7, 1.0),
    "backbone": ("", *backbones.BACKBONES),
    "crop": ("frame", "fit"),
    "weight_decay": (0.01, 0.1, 0.6),
    "reach": (0.85, 1.0, 1.15),
}
"""A search can draw these values of every choice; `narrowed` says which of them it draws by default."""
DEFAULT_SPACE: dict[str, tuple[Any, ...]] = {
    "size": SEARCH_SPACE["size"][:-1],
    "backbone": ("",),
    "crop": ("frame",),
    "reach": (1.0,),
}
"""A search draws fewer values of these choices by default. A backbone's weights are an extra to install, and a search
with a seed finds the same with and without that extra. The largest size pays only with a backbone. Each further reach
has all films decoded once more."""
RECIPES: dict[str, tuple[float, ...]] = {"mixup": (0.0, 0.15, 0.3), "occlusion": (0.0, 0.2, 0.4), "taught": (0.3, 0.6)}
"""A search on an accelerator can draw these values of every choice of a `Recipe`."""
ACCELERATED: dict[str, tuple[Any, ...]] = {"loss": ("soft_ordinal",), "crop": ("frame",), **RECIPES}
"""These choices have other values in a search on an accelerator, which has one loss, and films in their frames."""


def narrowed(
    only: Mapping[str, Sequence[str]], full: bool = False, accelerated: bool = False
) -> dict[str, tuple[Any, ...]]:
    """Return the search space with fewer values of some choices.

    Args:
        only: The values that stay, by the name of a choice, such as {"size": ["128", "160"]}.
        full: Whether the other choices have all of their values; otherwise some have those of DEFAULT_SPACE.
        accelerated: Whether the search is one on an accelerator.

    Raises:
        SettingsError: A choice or a value is not in the search space.
    """
    every = SEARCH_SPACE | (ACCELERATED if accelerated else {})
    search_space = every | ({} if full else DEFAULT_SPACE)
    for name, texts in only.items():
        if name not in search_space:
            raise SettingsError(f"--only {name}: there is no such choice; choose among {', '.join(every)}.")
        known = {str(value): value for value in every[name]}
        unknown = [text for text in texts if text not in known]
        if unknown:
            raise SettingsError(f"--only {name}={','.join(unknown)}: choose among {', '.join(known)}.")
        search_space[name] = tuple(known[text] for text in texts)
    return search_space
