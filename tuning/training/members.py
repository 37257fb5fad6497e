"""Trained members are loaded from a training's folder, or taken out of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import Bundle, InputConfig
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.evidence import TrainedMember, TrainingEvidence
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.keras_files import load_weights

from ..networks.architecture import Architecture, build, with_head
from ..networks.ensemble import Member, assemble, input_of
from ..run import steps
from .checkpoint import weights_path
from .search_result import parse_architecture

RECORD = "train.json"
"""A training writes this file last; it holds a `TrainingEvidence`."""
AGAIN = f"remove it and {RECORD} beside it, and give the command of this training once more."
LARGEST_DIFFERENCE = 1e-4
"""The members taken out of a bundle may differ from it by at most 0.0001, in probability."""


def read_record(training: Path) -> TrainingEvidence:
    """Return the train.json of a training's folder. Raises DataError when the training has not finished."""
    return steps.typed(TrainingEvidence, steps.read_json(training / RECORD), training / RECORD)


def architecture_of(member: TrainedMember, source: Path | str) -> Architecture:
    """Return a member's network. Raises DataError, with the name of its source, for one that is not known."""
    return parse_architecture(member.architecture or {}, source)


def name_of(member: TrainedMember, number: int) -> str:
    """Return a member's name; before 0.3.0 members of bundles had none, only their place."""
    return member.name or f"winner-{number}"


def architectures(members: Sequence[TrainedMember], source: Path | str) -> list[Architecture]:
    """Return the networks of members, in their order."""
    return [architecture_of(member, source) for member in members]


@dataclass(frozen=True)
class TrainedEnsemble:
    """A trained ensemble is the members of a training, put together.

    Attributes:
        train: Output folder of its training.
        audit: Output folder of the audit that it was trained on.
        record: Its train.json.
        members: Its networks.
        config: Its input.
        model: The uncalibrated ensemble.
        protocol: The dataset whose readers it follows; "" where one classifier learnt from all.
    """

    train: Path
    audit: Path
    record: TrainingEvidence
    members: list[Member]
    config: InputConfig
    model: keras.Model
    protocol: str = ""

    @property
    def graded_like(self) -> tuple[str, ...]:
        """Names of the datasets whose readers its answers follow."""
        return (self.protocol,) if self.protocol else self.record.datasets

    @property
    def saw_nothing(self) -> bool:
        """Whether it has the weights of another bundle, which was trained on no film of this audit."""
        base = self.record.base
        return bool(base and base["recalibrated_only"] and not base.get("seen"))


def load_ensemble(train: Path, protocol: str = "", reach: float | None = None) -> TrainedEnsemble:
    """Return the members of a training's folder as an uncalibrated ensemble.

    Args:
        train: Output folder of the training.
        protocol: See `load_members`.
        reach: Reach of its frames, see `InputConfig`; None is that of the bundle that was adapted, otherwise that with
            which the members were trained.

    Raises:
        SettingsError: The reach is not from 0.5 to 1.5, or is given for networks that see no frame.
    """
    members = load_members(train, protocol)
    config = input_of([member.architecture for member in members])
    record = read_record(train)
    if reach is None:
        reach = float((record.base or {}).get("reach", config.reach))
    if not 0.5 <= reach <= 1.5:
        raise SettingsError(f"--reach {reach:g}: choose a number from 0.5 to 1.5.")
    if reach != 1 and config.crop != "frame":
        raise SettingsError(f"--reach {reach:g}: the networks of {train} see whole films, not frames; leave it out.")
    config = replace(config, reach=reach)
    audit = steps.find_input(train, "audit")
    follows = protocol or next(iter(record.protocols), "")
    return TrainedEnsemble(train, audit, record, members, config, assemble(members), follows)


def load_members(training: Path, protocol: str = "") -> list[Member]:
    """Return the members of a training's folder with their weights.

    Args:
        training: Output folder of a training.
        protocol: The reading protocol whose classifier is taken, where there are several; "" takes the first one.

    Raises:
        DataError: The training has not finished, or a file of weights can't be read.
        SettingsError: There is no such protocol.
    """
    members, whole = [], read_record(training)
    if protocol and protocol not in whole.protocols:
        known = ", ".join(whole.protocols) or "none: train with --protocols"
        raise SettingsError(f"--protocol {protocol}: {training} has no such protocol; choose among {known}.")
    for number, record in enumerate(whole.members):
        architecture = architecture_of(record, training / RECORD)
        network = build(architecture, published=False, protocols=whole.protocols)
        member = Member(name_of(record, number), architecture, network)
        path = weights_path(training, member.name)
        try:
            load_weights(member.network, path)
        except ValueError as error:
            raise DataError(f"{path} can't be read ({error}); {AGAIN}") from None
        if not all(np.isfinite(one).all() for one in member.network.get_weights()):
            raise DataError(f"{path} holds weights that are not numbers; {AGAIN}")
        if whole.protocols:
            alone = with_head(network, architecture, whole.protocols, protocol or whole.protocols[0])
            member = replace(member, network=alone)
        members.append(member)
    return members


def members_of(bundle: Bundle) -> list[Member]:
    """Return the members inside a bundle's Keras model, each as a network of its own.

    Raises DataError when they do not make that model when they are put together.
    """
    whole = KneeGrader(bundle).keras_model()
    members = []
    for number, entry in enumerate(bundle.config.members):
        architecture = parse_architecture(entry["architecture"], bundle.folder)
        members.append(
            Member(entry.get("name", f"winner-{number}"), architecture, build(architecture, published=False))
        )
        members[-1].network.set_weights(whole.get_layer(f"member_{number}").get_weights())
    size = (2, bundle.config.input.height, bundle.config.input.width, 1)
    noise = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    again = assemble(members, bundle.config.input, bundle.config.temperature, bundle.config.decision)
    difference = np.abs(np.asarray(again(noise)["probabilities"]) - np.asarray(whole(noise)["probabilities"])).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise DataError(
            f"{bundle.folder}: this release puts the members of its Keras model together in another way; take it apart"
            " with the release that made it."
        )
    return members
