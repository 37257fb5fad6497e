"""Step 4: calibrate on validation, measure, and write every number of the card to evidence.json with its interval."""

import importlib.metadata
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.agreement import confusion
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.hub.pull_push import pull, revision_of
from kneeoa_hub.imaging.refusal import training_distances

from .data.datasets import Knees, load_knees, stratified_subset
from .data.table import AuditedFilm, read_films
from .evaluation.calibration import AXES, Calibration, answered, calibrate, fit_refusal, predictions
from .evaluation.metrics import Predictions, coverages, ece_of_perfect, measure, recalls
from .evaluation.plots import plot_calibration, plot_confusion, plot_history, plot_maps, plot_sets
from .evaluation.strips import two_knee_strips
from .evaluation.subgroups import by_member, joint, predict, subgroups
from .networks.ensemble import assemble, input_of, mean_class_maps
from .run import steps
from .run.figures import number, share
from .training import distillation
from .training.checkpoint import read_history
from .training.members import LEDGER, load_members, looks_of

REFERENCE_FILMS = 3000
UNSEEN = ("qwk", "accuracy", "mae", "auc_oa")
VERSIONS = ("tensorflow", "keras", "keras-tuner", "numpy", "pillow", "onnxruntime")


def evaluate(train: Path, out: Path, *, test: bool = True, copies: Path | None = None) -> Path:
    """Write calibration.json, evidence.json and figures/ to `out`; returns it.

    test: also look at the test films; every look is counted in the evidence. Choose models with test=False. copies: a
    newer audit of the same films, that knows more copies than the one which the networks were trained on: nothing is
    calibrated on a film whose knee they were trained on, and figures are also given without such films.
    """
    train, audit = steps.find_input(train, "train"), steps.find_input(train, "audit")
    copies = steps.find_input(copies, "audit") if copies else None
    members = load_members(train)
    steps.begin(out, "evaluate", str(train), {"test": test} | ({"copies": str(copies)} if copies else {}))
    if (out / "evidence.json").exists():
        return out
    config = input_of([member.architecture for member in members])
    model = assemble(members)
    record = steps.read_json(train / "train.json")
    kept = {member.name: read_history(train, member.name) for member in members}
    histories = {name: rows for name, rows in kept.items() if rows}  # a member taken from another bundle has none
    datasets, base = record.get("datasets", ()), record.get("base")
    films = stratified_subset(load_knees(audit, "train", config).of(datasets), REFERENCE_FILMS)
    sets = {split: load_knees(audit, split, config) for split in (("val", "test") if test else ("val",))}
    seen = {}
    if copies:
        sets, seen = told_apart(sets, read_films(audit), read_films(copies))
    reference = predict(model, films, "evaluate: training")
    predicted = {split: predict(model, knees, f"evaluate: {split}") for split, knees in sets.items()}
    # other datasets are foreign to these weights
    rows = sets["val"].within(datasets) & ~seen.get("val", np.zeros(len(sets["val"]), bool))
    fitted_on = sets["val"].take(rows)
    validation = {name: values[rows] for name, values in predicted["val"].items()}
    calibrated_on = _fitted_on(base, validation, fitted_on, reference, films)
    calibration = calibrate(*calibrated_on)
    refusal = fit_refusal(
        reference["embedding"], validation["embedding"], [_content(fitted_on, row) for row in range(len(fitted_on))]
    )
    metrics, tables, groups, measured, levels, unseen = {}, {}, {}, {}, {}, {}
    for split, knees in sets.items():
        for dataset in sorted(set(knees.datasets)):
            rows = knees.datasets == dataset
            name = f"{dataset}_{split}"
            measured[name] = predictions(predicted[split]["probabilities"][rows], knees.take(rows), calibration)
            away = training_distances(predicted[split]["embedding"][rows], refusal)
            metrics[name] = measure(measured[name]) | {"refused": share(away > refusal.max_distance)}
            tables[name] = _tables(measured[name])
            levels[name] = {
                str(level): measure(
                    answered(measured[name].probabilities, knees.take(rows), calibration.decision, threshold),
                    names=("coverage", "set_size"),
                )
                for level, threshold in calibration.conformal.others
            }
            groups[name] = subgroups(measured[name], knees.take(rows))
            if copies:
                fresh = ~seen[split][rows]
                unseen[name] = {
                    "films_seen": number((~fresh).sum(), n=len(fresh)),
                    "metrics": measure(measured[name].take(fresh), names=UNSEEN),
                }
    strips = {
        name: row
        for split in sets
        for name, row in two_knee_strips(model, audit, copies or audit, split, config, calibration).items()
    }
    usual = mean_class_maps(model, films.inputs())
    final = assemble(members, config, calibration.temperature, calibration.decision, usual)
    looks, maps = joint(final, sets["val"], config, calibration.decision)
    evidence = {
        "schema_version": 1,
        "metrics": metrics,
        "by_grade": tables,
        "subgroups": groups,
        "members": by_member(members, config, sets, calibration),
        "joint": looks,
        "calibration": (
            _calibration(
                calibration, len(calibrated_on[0]), "train+val" if base and base["recalibrated_only"] else "val"
            )
            | {"other_levels": levels}
        ),
        "refusal": {
            "max_distance": number(refusal.max_distance, n=len(fitted_on)),
            "axes": number(min(AXES, len(refusal.components))),
        },
        "data": _data(audit, copies or audit),
        "search": base["search"] if base else _search(train),
        "training": record | {"drawn": list(histories)},
        "test_looks": number(_looks(train, test)),
        "test_looks_before": number(record.get("looks_before", 0)),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }
    if base:
        evidence["base"] = {name: base[name] for name in ("name", "address", "revision", "recalibrated_only")}
        evidence["before"] = _before(base, sets)
    if copies:
        evidence["without_seen"] = unseen
    if strips:
        evidence["two_knee_strips"] = strips
    figures = out / "figures"
    figures.mkdir(exist_ok=True)
    plot_confusion({name: confusion(a.truth, a.grade) for name, a in measured.items()}, figures / "confusion.png")
    plot_calibration(measured, figures / "calibration.png")
    plot_sets(
        measured,
        {name: table["coverage"] for name, table in tables.items()},
        calibration.conformal.level,
        figures / "sets.png",
    )
    if maps:
        plot_maps(maps, figures / "maps.png")
    if histories:
        plot_history(histories, figures / "training.png")
    steps.write_json(
        out / "calibration.json", {**asdict(calibration), "refusal": asdict(refusal), "usual_maps": usual.tolist()}
    )
    steps.write_json(out / "evidence.json", evidence)
    return out


def told_apart(
    sets: dict[str, Knees], trained: list[AuditedFilm], newer: list[AuditedFilm]
) -> tuple[dict[str, Knees], dict[str, np.ndarray]]:
    """The sets with the kin that a newer audit found, and for each which of its knees the networks have seen, in
    another film: [N] bool.

    trained: the films of the audit that the networks were trained on. Raises DataError when the newer audit is of other
    films.
    """
    leakage_group = {(film.dataset, film.file): film.leakage_group for film in newer}
    if lacking := [film.file for film in trained if (film.dataset, film.file) not in leakage_group]:
        raise DataError(
            f"The audit of the copies has no {lacking[0]} and {len(lacking) - 1} others that these networks were"
            " trained or are measured on."
        )
    shown = {leakage_group[film.dataset, film.file] for film in trained if film.trains}
    joined = {
        split: replace(
            knees,
            films=tuple(replace(film, leakage_group=leakage_group[film.dataset, film.file]) for film in knees.films),
        )
        for split, knees in sets.items()
    }
    return joined, {
        split: np.array([film.leakage_group in shown for film in knees.films], bool) for split, knees in joined.items()
    }


def _fitted_on(
    base: dict[str, Any] | None,
    validation: dict[str, np.ndarray],
    knees: Knees,
    reference: dict[str, np.ndarray],
    films: Knees,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, grades and groups to calibrate on: validation, and training films too where no weights saw
    them.
    """
    if not (base and base["recalibrated_only"]):
        return validation["probabilities"], knees.grades, knees.groups
    return (
        np.concatenate([validation["probabilities"], reference["probabilities"]]),
        np.concatenate([knees.grades, films.grades]),
        np.concatenate([knees.groups, films.groups]),
    )


def _before(base: dict[str, Any], sets: dict[str, Knees]) -> dict[str, Any]:
    """What the bundle that was adapted measures on the same films."""
    folder = pull(base["address"])
    if revision_of(folder) != base["revision"]:
        raise DataError(
            f"{base['address']} is now {revision_of(folder)}, and {base['revision']} was adapted; give the address with"
            " its revision."
        )
    config = read_bundle(folder).config
    metrics = {}
    for split, knees in sets.items():
        probabilities = distillation.probabilities(folder, knees)
        for dataset in sorted(set(knees.datasets)):
            rows = knees.datasets == dataset
            metrics[f"{dataset}_{split}"] = measure(
                answered(probabilities[rows], knees.take(rows), config.decision, config.conformal.threshold)
            )
    return metrics


def _content(knees: Knees, row: int) -> np.ndarray:
    left, top, right, bottom = knees.contents[row]
    return knees.pixels[row, top:bottom, left:right]


def _tables(measured: Predictions) -> dict[str, Any]:
    band = np.percentile(ece_of_perfect(measured.probabilities), (50, 5, 95))
    return {
        "recall": recalls(measured),
        "coverage": coverages(measured),
        "confusion": confusion(measured.truth, measured.grade).tolist(),
        "films": np.bincount(measured.truth, minlength=NUM_GRADES).tolist(),
        "ece_if_perfect": number(*band, n=len(measured.truth)),
    }


def _calibration(calibration: Calibration, films: int, splits: str) -> dict[str, Any]:
    return {
        "fitted_on": splits,
        "temperature": number(calibration.temperature, n=films),
        "decision_rule": calibration.decision.rule,
        "decision_thresholds": list(calibration.decision.thresholds),
        "decision_tried": {
            rule: {"qwk": number(kappa, n=films), "accuracy": number(accuracy, n=films)}
            for rule, (kappa, accuracy) in calibration.decision_tried.items()
        },
        "conformal_threshold": number(calibration.conformal.threshold, n=films),
    }


def _data(audit: Path, newer: Path) -> dict[str, Any]:
    """What the networks were trained and measured on, and the copies that the newer audit knows of."""
    summary, copies = (steps.read_json(folder / "audit.json") for folder in (audit, newer))
    used = {
        name: summary[name]
        for name in ("fingerprint", "films", "groups", "splits", "left_out", "inverted", "shortcuts")
    }
    return used | {
        name: copies[name]
        for name in ("overlaps", "shifted_pairs", "shifted_pairs_other_grade", "shifted_pairs_of_two_datasets")
        if name in copies
    }


def _search(train: Path) -> dict[str, Any]:
    record = steps.read_json(train / "train.json")
    if not record["best_json_sha256"]:
        return {"tuner": "none", "trials": number(0)}
    folder = steps.find_input(train, "search")
    best = steps.read_json(folder / "best.json")
    settings = steps.settings_of(folder)
    return {
        "tuner": best["tuner"],
        "trials": number(best["trials"]),
        "best_val_qwk": number(best["val_qwk"], n=settings["validation_films"]),
        "best_json_sha256": record["best_json_sha256"],
        "settings": settings,
    }


def _looks(train: Path, test: bool) -> int:
    """How often these weights' test films have been looked at, this look included."""
    looks = looks_of(train) + int(test)
    if test:
        steps.write_json(train / LEDGER, looks)
    return looks
