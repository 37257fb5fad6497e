"""The evidence of an evaluation says what was measured, fitted and known before, as the card needs it."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from kneeoa_hub import __version__
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.card.results import PACKAGE
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import (
    Agreement,
    BaseModel,
    CalibrationEvidence,
    DataEvidence,
    Evidence,
    JointEvidence,
    RefusalEvidence,
    SearchEvidence,
    SetEvidence,
    TrainingEvidence,
)
from kneeoa_hub.hub.pull_push import pull, revision_of

from ..data.datasets import Knees
from ..data.summary import read_summary, split_hashes
from ..data.table import read_films
from ..run import steps
from ..run.estimates import exact
from ..training import distillation
from ..training.members import TrainedEnsemble
from ..training.search_result import read_result
from .by_member import by_member
from .calibration import reported_predictions
from .fit import Fit
from .metrics import measure
from .refusal import AXES
from .sets import MeasuredSet, PredictedSplit
from .strips import two_knee_strips

VERSIONS = ("tensorflow", "keras", "keras-tuner", "numpy", "pillow", "onnxruntime")
"""The evidence names the versions of these packages, beside that of this one."""


def assemble_evidence(
    ensemble: TrainedEnsemble,
    copies: Path | None,
    fit: Fit,
    splits: Sequence[PredictedSplit],
    sets: Sequence[MeasuredSet],
    joints: Sequence[JointEvidence],
    training: TrainingEvidence,
    test_evaluations: int,
) -> Evidence:
    """Return every number of the card.

    Args:
        ensemble: The ensemble.
        copies: A newer audit of the same films, or None.
        fit: What was fitted.
        splits: The held-out films.
        sets: What was measured on each set of films.
        joints: Whether the model uses the joint, for each dataset whose joint has a known place.
        training: How the members were trained.
        test_evaluations: How often they were measured on test films.
    """
    knees, record = {split.name: split.knees for split in splits}, ensemble.record
    base = record.base
    newer = copies or ensemble.audit
    strips = [
        two_knee_strips(ensemble.model, ensemble.audit, newer, split, ensemble.config, fit.calibration)
        for split in knees
    ]
    return Evidence(
        schema_version=1,
        metrics={one.name: one.metrics for one in sets},
        by_grade={one.name: one.by_grade for one in sets},
        subgroups={one.name: one.subgroups for one in sets},
        members=by_member(ensemble.members, ensemble.config, knees, fit.calibration),
        joint=joints[0] if joints else None,
        other_joints=tuple(joints[1:]),
        calibration=_calibration(fit, sets, "train+val" if ensemble.saw_nothing else "val"),
        refusal=RefusalEvidence(
            max_distance=exact(fit.refusal.max_distance, n=fit.refusal_films),
            axes=exact(min(AXES, len(fit.refusal.components))),
        ),
        data=_data(ensemble.audit, newer),
        search=_search(ensemble),
        training=training,
        test_looks=exact(test_evaluations),
        test_looks_before=exact(record.looks_before or 0),
        versions={PACKAGE: __version__} | {name: importlib.metadata.version(name) for name in VERSIONS},
        base=steps.typed(BaseModel, base, ensemble.train) if base else None,
        before=_before(base, knees) if base else {},
        without_seen={one.name: one.unseen for one in sets if one.unseen},
        two_knee_strips={name: row for found in strips for name, row in found.items()},
    )


def _calibration(fit: Fit, sets: Sequence[MeasuredSet], splits: Literal["val", "train+val"]) -> CalibrationEvidence:
    calibration, films = fit.calibration, sum(fit.calibration_films)
    return CalibrationEvidence(
        fitted_on=splits,
        films=fit.calibration_films,
        temperature=exact(calibration.temperature, n=films),
        decision_rule=calibration.decision.rule,
        decision_thresholds=tuple(calibration.decision.thresholds),
        decision_tried={
            rule: Agreement(qwk=exact(kappa, n=films), accuracy=exact(accuracy, n=films))
            for rule, (kappa, accuracy) in calibration.decision_tried.items()
        },
        conformal_threshold=exact(calibration.conformal.threshold, n=films),
        other_levels={one.name: one.levels for one in sets},
    )


def _data(audit: Path, newer: Path) -> DataEvidence:
    """Return what the networks were trained and measured on, and the copies that the newer audit knows of."""
    summary, copies = read_summary(audit), read_summary(newer)
    return DataEvidence(
        fingerprint=summary.fingerprint,
        films=summary.films,
        groups=summary.groups,
        splits=summary.splits,
        split_hashes=split_hashes(read_films(audit)),
        left_out=summary.left_out,
        inverted=summary.inverted,
        shortcuts=summary.shortcuts,
        overlaps=copies.overlaps,
        shifted_pairs=copies.shifted_pairs,
        shifted_pairs_other_grade=copies.shifted_pairs_other_grade,
        shifted_pairs_of_two_datasets=copies.shifted_pairs_of_two_datasets,
    )


def _search(ensemble: TrainedEnsemble) -> SearchEvidence:
    """Return how the architecture was found: by this training's search, or by that of the adapted bundle."""
    if base := ensemble.record.base:
        return steps.typed(SearchEvidence, base["search"], ensemble.train)
    if not ensemble.record.best_json_sha256:
        return SearchEvidence(tuner="none", trials=exact(0))
    folder = steps.find_input(ensemble.train, "search")
    result, settings = read_result(folder), steps.settings_of(folder)
    return SearchEvidence(
        tuner=result.tuner,
        trials=exact(result.trials),
        best_val_qwk=exact(result.val_qwk, n=settings["validation_films"]),
        best_json_sha256=ensemble.record.best_json_sha256,
        settings=settings,
    )


def _before(base: dict[str, Any], splits: dict[str, Knees]) -> dict[str, SetEvidence]:
    """Return what the bundle that was adapted measures on the same films."""
    folder = pull(base["address"])
    if revision_of(folder) != base["revision"]:
        raise DataError(
            f"{base['address']} is now {revision_of(folder)}, and {base['revision']} was adapted; give the address with"
            " its revision."
        )
    config = read_bundle(folder).config
    metrics = {}
    for split, knees in splits.items():
        probabilities = distillation.probabilities(folder, knees)
        predictions = reported_predictions(probabilities, knees, config.decision, config.conformal)
        for dataset in sorted(set(knees.datasets)):
            metrics[f"{dataset}_{split}"] = measure(SetEvidence, predictions.take(knees.datasets == dataset))
    return metrics
