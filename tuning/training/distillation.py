"""A published model shares the training targets: a part is the label, and a part the probabilities of a teacher.

Readers of knee films differ, so a label says less than it seems to. A teacher's probabilities also say which films lie
between two grades, and a network that is taught by one of its own kind can become better than it (Furlanello et al.,
"Born-again neural networks", ICML 2018). The weights of a teacher may have seen the training films, never validation or
test films; its temperature and decision rule were fitted on validation films, as its own card says.
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
from ..data.summary import read_summary, split_hashes
from ..data.table import read_films

TAUGHT = 0.5
"""This proportion of a target is the teacher's answer, unless a training says otherwise; the label is the rest."""
BATCH = 64


def targets(audit: Path, address: str, datasets: Collection[str] = (), taught: float = TAUGHT) -> np.ndarray:
    """Return [N,5] float32, the targets of the training knees.

    Args:
        audit: Output folder of the audit.
        address: Address of the teacher's bundle.
        datasets: Only knees of these; all when none is named.
        taught: Proportion of the target that is the teacher's answer.

    Raises:
        DataError: The teacher was trained on other films of these datasets, maybe on this audit's test films.
    """
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    return blended(folder, load_knees(audit, "train", bundle.config.input).of_datasets(datasets), taught)


def check_films(address: str, bundle: Bundle, audit: Path) -> None:
    """Check that a bundle was not trained on films that an audit holds out, and was not adapted.

    A bundle does not list its films; `shared_datasets` tells what is known of them.

    Args:
        address: The bundle's, for the error.
        bundle: The bundle.
        audit: The folder of the audit.

    Raises:
        DataError: The bundle was adapted, or may have been trained on films that the audit holds out.
    """
    evidence = bundle.evidence
    if evidence.base:
        raise DataError(
            f"{address} was adapted from {evidence.base.name}, so that its films are known in part only; take one that"
            f" was trained on {audit}."
        )
    if others := shared_datasets(bundle, audit)[1]:
        raise DataError(
            f"{address} was trained on other films of {', '.join(others)} than the training films of {audit}, maybe on"
            " its validation or test films; take a bundle that was trained on this audit."
        )


def shared_datasets(bundle: Bundle, audit: Path) -> tuple[list[str], list[str]]:
    """Return the datasets that a bundle and an audit both have, and those of them that may be split otherwise.

    Datasets are compared by their names, and then by the names and splits of their films, which are the same at
    another resolution. Evidence before 0.15.0 lacks these hashes. There, a dataset is taken for the same if its films
    came with their splits, as many are held out for the test, and no more for validation: a newer audit finds more
    copies to leave out. Splits that a seed has drawn have these counts whatever the seed.

    Raises DataError where that can't be told, because the audit does not say whether splits were given.
    """
    data, summary = bundle.evidence.data, read_summary(audit)
    shared = sorted(set(data.splits) & set(summary.splits))
    if data.fingerprint == summary.fingerprint:
        return shared, []
    hashes = split_hashes(read_films(audit))

    def same(name: str) -> bool:
        if data.split_hashes:
            return data.split_hashes.get(name) == hashes[name]
        then, now = data.splits[name], summary.splits[name]
        fewer = any(one < other for one, other in zip(then.get("val", ()), now["val"], strict=False))
        if then.get("test") != now["test"] or fewer:
            return False
        if summary.given is None:
            raise DataError(
                f"{bundle.config.name} has the dataset {name}, and {audit} does not say whether its splits were given;"
                " audits of releases up to 0.14.0 do not. Audit again in a new --out."
            )
        return name in summary.given

    return shared, [name for name in shared if not same(name)]


def blended(folder: Path, knees: Knees, taught: float = TAUGHT) -> np.ndarray:
    """Return [N,5] float32, the mean of labels and probabilities of a bundle.

    Args:
        folder: The bundle's.
        knees: N knees of its input.
        taught: Proportion of the bundle's answer; the label is the rest.
    """
    return taught * probabilities(folder, knees) + (1 - taught) * one_hot(knees.grades)


def probabilities(folder: Path, knees: Knees) -> np.ndarray:
    """Return [N,5] float32: the probabilities that the bundle in `folder` gives to knees of its input."""
    network = Network(folder / "model.onnx", read_bundle(folder).config.input)
    rows = np.array_split(np.arange(len(knees)), -(-len(knees) // BATCH))
    return np.concatenate([network.run(knees.take(part).inputs()).probabilities for part in rows])
