"""Step 5: the bundle. One Keras model with the ensemble inside, the same as ONNX, and the equality of both asserted."""

import contextlib
import io
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.bundle import (
    GATE,
    LOCATOR,
    BundleConfig,
    Conformal,
    Decision,
    GateConfig,
    InputConfig,
    LocatorConfig,
    RefusalConfig,
    read_bundle,
)
from kneeoa_hub.card.render import render
from kneeoa_hub.errors import DataError, OutputError
from kneeoa_hub.evidence import (
    CrossDomainRow,
    ExportEvidence,
    FindingEvidence,
    GateEvidence,
    read_evidence,
)
from kneeoa_hub.grades import LABELS
from kneeoa_hub.manifest import write_manifest
from kneeoa_hub.runtime import OUTPUTS, Network
from kneeoa_hub.typed_json import FieldError, from_json

from .data.datasets import load_knees, stratified_subset
from .networks.architecture import Architecture
from .networks.ensemble import assemble, input_of
from .run import steps
from .run.figures import number
from .training.members import load_members

LARGEST_DIFFERENCE = 1e-4
CHECKED_FILMS = 64


def export(
    evaluated: Path,
    out: Path,
    *,
    name: str = "kneeoa-local",
    version: str = "0.1.0",
    locator: Path | None = None,
    gate: Path | None = None,
    cross_domain: Path | None = None,
) -> Path:
    """Write the bundle folder `out`; returns it. Nothing is left there when a check fails.

    locator, gate: the outputs of these steps, or bundles that have one: what finds the joints, and what refuses, go
    into this one too, with their figures. cross_domain: the cross-domain.json of `benchmarks.cross_domain`, whose
    figures go into the evidence. Raises DataError when ONNX and Keras differ by more than LARGEST_DIFFERENCE on
    validation films, or `out` exists.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; a bundle is written to a new folder, give another --out.")
    train, audit = steps.find_input(evaluated, "train"), steps.find_input(evaluated, "audit")
    evidence = read_evidence(evaluated / "evidence.json")
    fitted = steps.read_json(evaluated / "calibration.json")
    config = _config(train, fitted, name, version)
    graphs: dict[str, Path] = {}
    if locator:
        graphs[LOCATOR], settings, finding = _found_by(locator)
        config, evidence = replace(config, locator=settings), replace(evidence, finding=finding)
    if gate:
        graphs[GATE], limits, refused = _refused_by(gate)
        config, evidence = (
            replace(config, gate=limits),
            replace(evidence, refusal=replace(evidence.refusal, gate=refused)),
        )
    if cross_domain:
        evidence = replace(evidence, cross_domain=_carried_over(cross_domain))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OutputError(
            f"{out} can't be written ({error.strerror}); give an --out with room and permission."
        ) from None
    try:
        model = _save(beside, train, config, np.array(fitted["usual_maps"], np.float32))
        knees = stratified_subset(load_knees(audit, "val", config.input), CHECKED_FILMS)
        difference = _difference(model, beside, config, knees.inputs())
        if not difference <= LARGEST_DIFFERENCE:
            raise DataError(
                f"ONNX and Keras differ by {difference:.1e} on {len(knees)} films; at most {LARGEST_DIFFERENCE} is let"
                " through."
            )
        parameters = sum(model.get_layer(f"member_{index}").count_params() for index in range(len(config.members)))
        exported = ExportEvidence(
            onnx_keras_difference=number(difference, n=len(knees)),
            onnx_megabytes=number((beside / "model.onnx").stat().st_size / 1e6),
            parameters=number(parameters),
        )
        evidence = replace(evidence, export=exported)
        (beside / "bundle.json").write_text(config.to_json(), "utf-8")
        steps.write_json(beside / "evidence.json", evidence)
        for file, graph in graphs.items():
            shutil.copyfile(graph, beside / file)
        shutil.copytree(evaluated / "figures", beside / "figures")
        (beside / "README.md").write_text(render(config, evidence), "utf-8")
        write_manifest(beside)
        read_bundle(beside)
        if out.exists():
            out.rmdir()
        beside.chmod(0o755)
        beside.replace(out)
    except OSError as error:
        raise OutputError(
            f"{out} can't be written ({error.strerror}); give an --out with room and permission."
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def _config(train: Path, fitted: dict[str, Any], name: str, version: str) -> BundleConfig:
    members = steps.read_json(train / "train.json")["members"]
    return BundleConfig(
        name,
        version,
        LABELS,
        input_of([Architecture(**member["architecture"]) for member in members]),
        tuple(members),
        Decision(fitted["decision"]["rule"], tuple(fitted["decision"]["thresholds"])),
        fitted["temperature"],
        Conformal(**fitted["conformal"] | {"others": tuple(map(tuple, fitted["conformal"]["others"]))}),
        RefusalConfig(**fitted["refusal"]),
    )


def _found_by(locator: Path) -> tuple[Path, LocatorConfig, FindingEvidence]:
    """locator.onnx, its settings and its figures, from the step's output or from a bundle that has one.

    Raises DataError for neither.
    """
    if (locator / "bundle.json").is_file():
        bundle = read_bundle(locator)
        if not bundle.config.locator or not bundle.evidence.finding:
            raise DataError(
                f"{locator} is a bundle without a locator and its figures; give the --out of `python -m tuning"
                " locator`."
            )
        return locator / LOCATOR, bundle.config.locator, bundle.evidence.finding
    folder = steps.find_input(locator, "locator")
    result = steps.read_json(folder / "locator.json")
    settings = result["locator"]
    finding = steps.typed(FindingEvidence, result["finding"], folder / "locator.json")
    return folder / LOCATOR, LocatorConfig(InputConfig(**settings["input"]), settings["threshold"]), finding


def _refused_by(gate: Path) -> tuple[Path, GateConfig, GateEvidence]:
    """gate.onnx, its limits and its figures, from the step's output or from a bundle that has one.

    Raises DataError for neither.
    """
    if (gate / "bundle.json").is_file():
        bundle = read_bundle(gate)
        if not bundle.config.gate or not bundle.evidence.refusal.gate:
            raise DataError(
                f"{gate} is a bundle without a gate and its figures; give the --out of `python -m tuning gate`."
            )
        return gate / GATE, bundle.config.gate, bundle.evidence.refusal.gate
    folder = steps.find_input(gate, "gate")
    result = steps.read_json(folder / "gate.json")
    figures = steps.typed(GateEvidence, result["figures"], folder / "gate.json")
    return folder / GATE, GateConfig(**result["config"]), figures


def _carried_over(file: Path) -> tuple[CrossDomainRow, ...]:
    """Returns what networks that were trained on one dataset are worth on each. Raises DataError for another file."""
    try:
        return from_json(tuple[CrossDomainRow, ...], steps.read_json(file))
    except FieldError as error:
        raise DataError(
            f"{file} is not what `python -m benchmarks.cross_domain` writes ({error}); give its cross-domain.json."
        ) from None


def _save(folder: Path, train: Path, config: BundleConfig, usual: np.ndarray) -> Any:
    """config.json, metadata.json, model.weights.h5 and model.onnx; returns the Keras model as a stranger would load
    it.
    """
    import keras

    model = assemble(load_members(train), None, config.temperature, config.decision, usual)
    model.save(folder, zipped=False)
    shutil.rmtree(folder / "assets", ignore_errors=True)
    loaded = keras.saving.load_model(folder, compile=False, safe_mode=True)
    # Keras exports only a model that has been called.
    loaded.predict_on_batch(np.zeros((1, config.input.height, config.input.width, 1), np.float32))
    with contextlib.redirect_stdout(io.StringIO()):
        loaded.export(folder / "model.onnx", format="onnx", verbose=False)
    return loaded


def _difference(model: Any, folder: Path, config: BundleConfig, inputs: np.ndarray) -> float:
    """Largest absolute difference over all outputs and films, of the outputs' own scale where that is over 1."""
    keras_outputs = model.predict_on_batch(inputs)
    onnx_outputs = asdict(Network(folder / "model.onnx", config.input).run(inputs))
    return max(
        float(
            np.abs(np.asarray(keras_outputs[name]) - onnx_outputs[name]).max()
            / max(1.0, np.abs(onnx_outputs[name]).max())
        )
        for name in OUTPUTS
    )
