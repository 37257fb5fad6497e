"""Beyond the headline: figures by subgroup, by member, on mirrored films, and of where the model looks."""

from collections.abc import Sequence

import keras
import numpy as np

from kneeoa_hub.agreement import resamples
from kneeoa_hub.bundle import Decision, InputConfig
from kneeoa_hub.decision import reported_grade
from kneeoa_hub.evidence import Agreement, Estimate, JointEvidence, MemberEvidence, SubgroupEvidence

from ..data.datasets import Knees, exposures
from ..networks.ensemble import Member, assemble, seen_alone
from ..run import steps
from ..run.figures import number
from .calibration import Calibration, apply_temperature, predictions
from .metrics import Predictions, measure
from .occlusion import DATASET, MeanMaps, covered, mean_maps, peaks

FIGURES = ("qwk", "accuracy", "mae", "auc_oa")
EXPOSURE = "film gray"
"""Not "exposure", by which older evidence means the mean gray of canvases that were stretched already."""
EXPOSURES = ("dark", "middle", "bright")
LEAST = 50
"""Knees under which a subgroup's figures would be noise."""
BATCH = 64


def predict(model: keras.Model, knees: Knees, title: str) -> dict[str, np.ndarray]:
    """The model's "probabilities" [N,5], "embedding" [N,D] and "activation_map" [N,h,w]."""
    answered: dict[str, list[np.ndarray]] = {"probabilities": [], "embedding": [], "activation_map": []}
    for start in steps.progress(range(0, len(knees), BATCH), title):
        outputs = model.predict_on_batch(knees.take(np.arange(start, min(start + BATCH, len(knees)))).inputs())
        for name, values in answered.items():
            values.append(np.asarray(outputs[name]))
    return {name: np.concatenate(values) for name, values in answered.items()}


def subgroups(measured: Predictions, knees: Knees) -> dict[str, SubgroupEvidence]:
    """Figures by the patient's side, and by thirds of the films' exposure where it is known."""
    sides = np.array([film.side for film in knees.films])
    groups = {f"side: {side}": sides == side for side in ("left", "right")}
    if (grays := exposures(knees)) is not None:
        third = np.searchsorted(np.quantile(grays, (1 / 3, 2 / 3)), grays)
        groups |= {f"{EXPOSURE}: {name}": third == number for number, name in enumerate(EXPOSURES)}
    return {
        name: SubgroupEvidence(**measure(measured.take(rows), names=FIGURES))
        for name, rows in groups.items()
        if rows.sum() >= LEAST
    }


def by_member(
    members: Sequence[Member], config: InputConfig, sets: dict[str, Knees], calibration: Calibration
) -> tuple[MemberEvidence, ...]:
    """For each member alone: figures on each dataset of each split, and how often it gives a mirrored film its
    grade.
    """
    rows = []
    for member in members:
        alone = assemble([member], config)
        figures: dict[str, Agreement] = {}
        for split, knees in sets.items():
            answered = predictions(
                predict(alone, knees, f"evaluate: {member.name}, {split}")["probabilities"], knees, calibration
            )
            for dataset in sorted(set(knees.datasets)):
                figures[f"{dataset}_{split}"] = Agreement(
                    **measure(answered.take(knees.datasets == dataset), names=("qwk", "accuracy"))
                )
        mirrored = _mirrored(seen_alone(member, config), sets["val"], calibration)
        rows.append(MemberEvidence(name=member.name, metrics=figures, mirrored_agreement=mirrored))
    return tuple(rows)


def joint(
    model: keras.Model, knees: Knees, config: InputConfig, decision: Decision
) -> tuple[JointEvidence | None, MeanMaps | None]:
    """What covering the joint costs and where the maps peak, and the mean map of each reported grade; None where no
    film will do.

    model: as it is exported, with its temperature and its usual maps.
    """
    films = knees.take(knees.datasets == DATASET)
    if not len(films):
        return None, None
    predicted = predict(model, films, "evaluate: maps")

    def graded(inputs: np.ndarray) -> np.ndarray:
        parts = np.array_split(inputs, -(-len(inputs) // BATCH))
        return np.concatenate(
            [reported_grade(np.asarray(model.predict_on_batch(part)["probabilities"]), decision) for part in parts]
        )

    figures = JointEvidence(
        films=f"{DATASET}_val",
        covered=covered(graded, films, config),
        map_peak=peaks(predicted["activation_map"], films, config),
    )
    return figures, mean_maps(
        predicted["activation_map"], reported_grade(predicted["probabilities"], decision), films, config
    )


def _mirrored(member: keras.Model, knees: Knees, calibration: Calibration) -> Estimate:
    inputs = knees.inputs()
    film, mirrored = (
        reported_grade(
            apply_temperature(member.predict(views, batch_size=BATCH, verbose=0), calibration.temperature),
            calibration.decision,
        )
        for views in (inputs, inputs[:, :, ::-1])
    )
    same = film == mirrored
    drawn = [same[rows].mean() for rows in resamples(knees.groups)]
    return number(same.mean(), *np.percentile(drawn, (2.5, 97.5)), n=len(same))
