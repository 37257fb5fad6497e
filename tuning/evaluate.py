"""Step 4: calibrate the ensemble on validation films, measure it, and write every number of the card.

    python -m tuning evaluate --data runs/train --out runs/evaluate --validation-only

Writes calibration.json (what the bundle needs), evidence.json (what the card shows) and figures/.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .data.datasets import Knees, load_knees, stratified_subset
from .data.table import read_films
from .data.variants import PLAIN, load_variants
from .evaluation.calibration import Calibration
from .evaluation.evidence import assemble_evidence
from .evaluation.fit import fit_ensemble
from .evaluation.fitted import FITTED, Fitted
from .evaluation.joint import joint_evidence
from .evaluation.occlusion import MeanMaps
from .evaluation.outputs import predict
from .evaluation.plots import plot_calibration, plot_confusion, plot_history, plot_maps, plot_prediction_sets
from .evaluation.seen import mark_seen
from .evaluation.sets import MeasuredSet, PredictedSplit, measure_set
from .evaluation.trained_on import check_held_out
from .networks.ensemble import assemble, mean_class_maps
from .run import steps
from .training.checkpoint import read_history
from .training.joining import TEST_EVALUATIONS, count_test_evaluations, seen_films
from .training.members import TrainedEnsemble, load_ensemble

EVIDENCE = "evidence.json"
REFERENCE_FILMS = 3000
"""Distances are taken from at most 3,000 training films, whose maps are also averaged."""
CHANGED = 2
"""Each validation knee has two changed films, on which it should not be refused."""


def evaluate(
    train: Path,
    out: Path,
    *,
    test: bool = True,
    copies: Path | None = None,
    protocol: str = "",
    reach: float | None = None,
) -> Path:
    """Write calibration.json, evidence.json and figures/ to `out`, and return it.

    Args:
        train: Output folder of the training.
        out: A new folder, or one in which the same evaluation was stopped.
        test: Also measure on the test films; the evidence counts every such evaluation. Choose models with test=False.
        copies: A newer audit of the same films that knows more copies than the one the networks were trained on:
            nothing is calibrated on a film whose knee they were trained on, and every measure is also given without
            such films.
        protocol: The dataset whose readers the answers follow, of a training with protocols; "" is its first one.
            Calibration and limits are fitted on the films of that dataset.
        reach: The reach of the graded frames, see `load_ensemble`. A network that learnt from films at random scales
            grades best at another scale than their mean (Touvron et al., NeurIPS 2019); choose it on validation films
            with `python -m benchmarks.reach`.

    Raises:
        DataError: The training has not finished, or the newer audit has other films.
        SettingsError: The reach is not from 0.5 to 1.5, or is given for networks that see no frame.
    """
    train = steps.find_input(train, "train")
    copies = steps.find_input(copies, "audit") if copies else None
    ensemble = load_ensemble(train, protocol, reach)
    settings: dict[str, Any] = {"test": test}
    settings |= {"copies": str(copies)} if copies else {}
    settings |= {"protocol": ensemble.protocol} if ensemble.protocol else {}
    settings |= {"reach": ensemble.config.reach} if ensemble.config.reach != 1 else {}
    steps.begin(out, "evaluate", str(train), settings)
    if (out / EVIDENCE).exists():
        return out
    reference = _predict_reference(ensemble)
    _check_held_out(ensemble, ("val", "test") if test else ("val",))
    splits = [_predict_split(ensemble, split, copies) for split in (("val", "test") if test else ("val",))]
    fit = fit_ensemble(ensemble, reference, splits[0], _embed_changed(ensemble, splits[0].knees))
    sets = [
        measure_set(name, films, fit.calibration, fit.refusal) for split in splits for name, films in split.by_dataset()
    ]
    class_maps = mean_class_maps(ensemble.model, reference.knees.inputs())
    decision = fit.calibration.decision
    final = assemble(ensemble.members, ensemble.config, fit.calibration.temperature, decision, class_maps)
    joints, maps = joint_evidence(final, splits[0].knees, ensemble.config, decision)
    histories = {
        member.name: rows for member in ensemble.members if (rows := read_history(train, member.name))
    }  # a member taken from a bundle has none
    training = replace(ensemble.record, drawn=tuple(histories))
    evaluations = _count_test_evaluation(train, test)
    evidence = assemble_evidence(ensemble, copies, fit, splits, sets, joints, training, evaluations)
    _draw(out / "figures", sets, fit.calibration, maps, histories)
    nested = tuple(tuple(map(tuple, row)) for row in class_maps.tolist())
    steps.write_json(out / FITTED, Fitted(**vars(fit.calibration), refusal=fit.refusal, mean_class_maps=nested))
    steps.write_json(out / EVIDENCE, evidence)
    return out


def _goes_on(ensemble: TrainedEnsemble) -> bool:
    """Return whether a member started from a bundle whose audit knew fewer copies, so it saw knees held out here."""
    return any(member.origin for member in ensemble.record.members)


def _check_held_out(ensemble: TrainedEnsemble, splits: Sequence[str]) -> None:
    """Raise DataError when a film to measure on was trained on by a member, here or before it joined."""
    seen = _seen(ensemble)
    measured = [load_knees(ensemble.audit, split, ensemble.config) for split in splits]
    # Knees that an older bundle saw in other films are marked below; the films themselves are refused in any case.
    check_held_out(seen, () if _goes_on(ensemble) else read_films(ensemble.audit), measured)


def _seen(ensemble: TrainedEnsemble) -> frozenset[str]:
    """Return the sha256 of every film that a member was trained on, here or before it joined."""
    names = {member.name for member in ensemble.members}
    return frozenset() if ensemble.saw_nothing else seen_films(ensemble.train, ensemble.audit, names)


def _predict_reference(ensemble: TrainedEnsemble) -> PredictedSplit:
    """Return a part of the training films."""
    knees = load_knees(ensemble.audit, "train", ensemble.config).of_datasets(ensemble.record.datasets)
    knees = stratified_subset(knees, REFERENCE_FILMS)
    return PredictedSplit("train", knees, predict(ensemble.model, knees, "evaluate: training"), None)


def _predict_split(ensemble: TrainedEnsemble, split: str, copies: Path | None) -> PredictedSplit:
    """Return all films of a held-out split, also of datasets that were not trained on."""
    knees, seen = load_knees(ensemble.audit, split, ensemble.config), None
    if copies:
        knees, seen = mark_seen(knees, read_films(ensemble.audit), read_films(copies))
    elif _goes_on(ensemble):
        trained = _seen(ensemble)
        groups = {film.leakage_group for film in read_films(ensemble.audit) if film.sha256 in trained}
        seen = np.array([film.leakage_group in groups for film in knees.films], bool)
    return PredictedSplit(split, knees, predict(ensemble.model, knees, f"evaluate: {split}"), seen)


def _embed_changed(ensemble: TrainedEnsemble, knees: Knees) -> np.ndarray | None:
    """Return [N,V,D]: embeddings of N validation knees on films changed V times; None for knees that are not framed."""
    if not knees.framed:
        return None
    variants = load_variants(ensemble.audit, knees, ensemble.config, PLAIN + CHANGED)[:, PLAIN:]
    changed = (replace(knees, pixels=np.ascontiguousarray(variants[:, number])) for number in range(CHANGED))
    outputs = [predict(ensemble.model, one, "evaluate: changed validation films") for one in changed]
    return np.stack([one.embedding for one in outputs], axis=1)


def _count_test_evaluation(train: Path, test: bool) -> int:
    """Count this evaluation when it is one on test films; return how many these weights have had."""
    evaluations = count_test_evaluations(train) + int(test)
    if test:
        steps.write_json(train / TEST_EVALUATIONS, evaluations)
    return evaluations


def _draw(
    folder: Path,
    sets: Sequence[MeasuredSet],
    calibration: Calibration,
    maps: MeanMaps | None,
    histories: dict[str, list[dict[str, Any]]],
) -> None:
    """Draw the figures of the card."""
    folder.mkdir(exist_ok=True)
    predictions = {one.name: one.predictions for one in sets}
    plot_confusion({one.name: np.array(one.by_grade.confusion) for one in sets}, folder / "confusion.png")
    plot_calibration(predictions, folder / "calibration.png")
    coverages = {one.name: one.by_grade.coverage for one in sets}
    plot_prediction_sets(predictions, coverages, calibration.conformal.level, folder / "sets.png")
    if maps:
        plot_maps(maps, folder / "maps.png")
    if histories:
        plot_history(histories, folder / "training.png")
