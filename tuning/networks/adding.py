"""A file of a user adds a block, a loss or a backbone to the search space through this module (docs/extending.md)."""

from collections.abc import Callable
from typing import Any

import keras

from kneeoa_hub.errors import SettingsError

from . import backbones, losses
from .architecture import BLOCKS, Architecture
from .search_space import SEARCH_SPACE


def add_block(name: str, make: Callable[[Any, int, int, Architecture], Any]) -> None:
    """Add a value of the choice "block".

    Args:
        name: Name of the block.
        make: Called with features [N,H,W,C], the channels that it must give, the stride of 1 or 2 by which it must
            shrink them, and the architecture. It returns the new features.

    Raises:
        SettingsError: The name is taken.
    """
    _add("block", name)
    BLOCKS[name] = make


def add_loss(name: str, make: Callable[[], keras.losses.Loss]) -> None:
    """Add a value of the choice "loss".

    Args:
        name: Name of the loss.
        make: Returns the loss, for targets and probabilities [N,5].

    Raises:
        SettingsError: The name is taken.
    """
    _add("loss", name)
    losses.LOSSES[name] = make


def add_backbone(
    name: str, features: Callable[[Any], Any], load: Callable[[keras.Model], None] = lambda model: None
) -> None:
    """Add a value of the choice "backbone".

    Args:
        name: Name of the backbone.
        features: Called with films [N,H,W,1], standardised. It returns features [N,h,w,C].
        load: Called with a new network. It gives the layers that `features` made their published weights.

    Raises:
        SettingsError: The name is taken.
    """
    _add("backbone", name)
    backbones.ADDED[name] = backbones.AddedBackbone(features, load)


def _add(choice: str, name: str) -> None:
    """Make a name a value of a choice. Raises SettingsError for one that is taken or is no word."""
    if name in SEARCH_SPACE[choice]:
        raise SettingsError(f"There is a {choice} {name!r} already; give another name.")
    if not name.replace("-", "_").isidentifier():
        raise SettingsError(f"The {choice} {name!r} needs a name of letters, digits, - and _.")
    SEARCH_SPACE[choice] += (name,)
