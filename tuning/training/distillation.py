"""Targets of training that a published model shares: what it answers for the training films, beside their labels.

Readers of knee films differ, so a label says less than it seems to; a teacher's probabilities also say which films lie
between two grades, and a network that is taught by one of its own kind can be better than it (Furlanello et al.,
"Born-again neural networks", ICML 2018). A teacher's weights may have seen the training films, never validation or test
films; temperature and rule were fitted on validation films, as its own card says.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from kneeoa_hub.bundle import Bundle, read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.hub.pull_push import pull
from kneeoa_hub.runtime import Network

from ..data.augment import one_hot
from ..data.datasets import Knees, load_knees
from ..run import steps

SHARE = 0.5
"""Of the target; the rest is the label."""
BATCH = 64


def targets(audit: Path, address: str, datasets: Collection[str] = ()) -> np.ndarray:
    """[N,5] float32 for the training knees of `audit`, of these datasets (default all). address: of the teacher's
    bundle.

    Raises DataError for a teacher that was trained on other films of these datasets, maybe on this audit's test films.
    """
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    return blended(folder, load_knees(audit, "train", bundle.config.input).of(datasets))


def check_films(address: str, bundle: Bundle, audit: Path) -> None:
    """Raises DataError when a bundle was trained on other films of this audit's datasets, maybe on its test films, or
    was adapted.

    Datasets are told by name, and audits by fingerprint: a bundle does not list its films.
    """
    if base := bundle.evidence.base:
        raise DataError(
            f"{address} was adapted from {base.name}, so that its films are known in part only; take one that was"
            f" trained on {audit}."
        )
    summary = steps.read_json(audit / "audit.json")
    shared = set(bundle.evidence.data.splits) & set(summary["splits"])
    if shared and bundle.evidence.data.fingerprint != summary["fingerprint"]:
        raise DataError(
            f"{address} was trained on other films of {', '.join(sorted(shared))} than those that {audit} gives to"
            " training, maybe on its test films; take one of these."
        )


def blended(folder: Path, knees: Knees) -> np.ndarray:
    """[N,5] float32: the labels of knees loaded for the input of the bundle in `folder`, and its answers."""
    return SHARE * probabilities(folder, knees) + (1 - SHARE) * one_hot(knees.grades)


def probabilities(folder: Path, knees: Knees) -> np.ndarray:
    """[N,5] float32: what the bundle in `folder` answers for knees loaded for its input."""
    network = Network(folder / "model.onnx", read_bundle(folder).config.input)
    rows = np.array_split(np.arange(len(knees)), -(-len(knees) // BATCH))
    return np.concatenate([network.run(knees.take(part).inputs()).probabilities for part in rows])
