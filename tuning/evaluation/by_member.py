"""Each member of the ensemble is measured alone, also for whether a mirrored film keeps its grade."""

from collections.abc import Sequence

import keras
import numpy as np

from kneeoa_hub.agreement import resamples
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.decision import reported_grade
from kneeoa_hub.evidence import Agreement, Estimate, MemberEvidence

from ..data.datasets import Knees
from ..networks.ensemble import Member, assemble, unmirrored
from ..run.estimates import bootstrapped
from .calibration import Calibration, apply_temperature, calibrated_predictions
from .metrics import measure
from .outputs import BATCH, predict


def by_member(
    members: Sequence[Member], config: InputConfig, splits: dict[str, Knees], calibration: Calibration
) -> tuple[MemberEvidence, ...]:
    """Return the measures of each member alone.

    Args:
        members: The members of the ensemble.
        config: Its input.
        splits: The knees of each split; "val" is one of them.
        calibration: The calibration of the ensemble.
    """
    return tuple(
        MemberEvidence(
            name=member.name,
            metrics=_metrics(member, config, splits, calibration),
            mirrored_agreement=_mirrored(unmirrored(member, config), splits["val"], calibration),
        )
        for member in members
    )


def _metrics(
    member: Member, config: InputConfig, splits: dict[str, Knees], calibration: Calibration
) -> dict[str, Agreement]:
    """Return, by set of films, how far the member's grades agree with the readers'."""
    alone = assemble([member], config)
    metrics = {}
    for split, knees in splits.items():
        outputs = predict(alone, knees, f"evaluate: {member.name}, {split}")
        predictions = calibrated_predictions(outputs.probabilities, knees, calibration)
        for dataset in sorted(set(knees.datasets)):
            metrics[f"{dataset}_{split}"] = measure(Agreement, predictions.take(knees.datasets == dataset))
    return metrics


def _mirrored(network: keras.Model, knees: Knees, calibration: Calibration) -> Estimate:
    """Return the proportion of the knees that get the same grade when mirrored."""
    inputs = knees.inputs()
    film, mirrored = (
        reported_grade(
            apply_temperature(network.predict(views, batch_size=BATCH, verbose=0), calibration.temperature),  # pyright: ignore[reportArgumentType]
            calibration.decision,
        )
        for views in (inputs, inputs[:, :, ::-1])
    )
    same = film == mirrored
    return bootstrapped(lambda rows: float(np.mean(same[rows])), resamples(knees.groups), len(same))
