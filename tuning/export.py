"""Step 5: write the bundle, with the ensemble in one Keras model and the same as ONNX, and check that both are equal.

    python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/bundle
    python -m tuning export --data ./runs/bundle --robustness runs/robustness --out runs/bundle-measured

The second command gives a bundle more measures, or newer ones. Its networks, its limits and its version stay, and no
test film is looked at again.
"""

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kneeoa_hub.bundle import GATE, LOCATOR, SEARCH_REPORT, BundleConfig, read_bundle
from kneeoa_hub.card.render import render
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import (
    CrossDomainRow,
    DataEvidence,
    Evidence,
    ExportEvidence,
    RobustnessEvidence,
    read_evidence,
)
from kneeoa_hub.evidence.finding import Grader
from kneeoa_hub.files import replacing
from kneeoa_hub.grades import LABELS
from kneeoa_hub.keras_files import load_model
from kneeoa_hub.manifest import write_manifest
from kneeoa_hub.runtime import OUTPUTS, Network
from kneeoa_hub.typed_json import FieldError, from_json, to_json

from .data.datasets import load_knees, stratified_subset
from .data.summary import read_summary
from .evaluation.fitted import Fitted, read_fitted
from .gate import GatePart, gate_part
from .locator import LocatorPart, locator_part
from .networks.ensemble import assemble, input_of
from .networks.half_precision import halve_graph, halve_weights
from .run import steps
from .run.estimates import exact
from .run.weights import weights_in_memory
from .searching.afterwards import later_search
from .searching.page import copy_pages
from .training.found_by import REPORT, reports_of
from .training.members import RECORD, architectures, load_members, read_record

LARGEST_DIFFERENCE = 1e-4
"""ONNX and Keras may differ by at most 0.0001, of the outputs' own scale where that is over 1."""
CONFIG = "bundle.json"
"""A folder with this file is a bundle."""
ROBUSTNESS = "robustness.json"
"""`python -m benchmarks.robustness` writes this file, with a picture of the same name beside it."""
CHECKED_FILMS = 64
"""Both are compared on 64 validation films."""


@dataclass(frozen=True)
class Parts:
    """These parts go into a bundle beside the ensemble; a part is None where it is left out.

    Attributes:
        locator: The network that finds the joints.
        gate: The network that refuses what is not an upright frontal knee.
        cross_domain: What networks that were trained on one dataset are worth on others.
    """

    locator: LocatorPart | None
    gate: GatePart | None
    cross_domain: tuple[CrossDomainRow, ...]


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
    """Write the bundle to the new folder `out`, and return it. Nothing stays there when a check fails.

    Args:
        evaluated: Output folder of the evaluation.
        out: The bundle's folder.
        name: Name of the bundle.
        version: Version of the bundle.
        locator: Output folder of the locator step, or a bundle with a locator.
        gate: Output folder of the gate step, or a bundle with a gate.
        cross_domain: cross-domain.json of `python -m benchmarks.cross_domain`.

    Raises:
        DataError: `out` is not empty, an input is not what it should be, or ONNX and Keras differ by more than
            LARGEST_DIFFERENCE.
        OutputError: `out` can't be written.
    """
    _check_empty(out)
    train, audit = steps.find_input(evaluated, "train"), steps.find_input(evaluated, "audit")
    settings = steps.settings_of(evaluated)
    fitted, evidence = read_fitted(evaluated), read_evidence(evaluated / "evidence.json")
    parts = Parts(
        locator_part(locator) if locator else None,
        gate_part(gate) if gate else None,
        _cross_domain(cross_domain) if cross_domain else (),
    )
    config = _config(train, fitted, name, version, parts, settings)
    with _writing(out) as bundle:
        bundle.mkdir()
        model = _write_model(bundle, train, config, fitted)
        exported = _check_equal(model, bundle, config, audit)
        evidence = _with_parts(evidence, parts, exported)
        shutil.copytree(evaluated / "figures", bundle / "figures")
        if reports := reports_of(train):
            copy_pages(reports, bundle / SEARCH_REPORT, "figures/search/")
        _write_documents(bundle, config, evidence, parts)
    return out


def renew(
    bundle: Path,
    out: Path,
    *,
    cross_domain: Path | None = None,
    robustness: Path | None = None,
    audit: Path | None = None,
    search: Path | None = None,
) -> Path:
    """Write a bundle with other measures to the new folder `out`, and return it; its networks and limits stay.

    Args:
        bundle: The folder of the bundle.
        out: The new bundle's folder.
        cross_domain: See `export`; None keeps what the bundle has.
        robustness: Output folder of `python -m benchmarks.robustness` with this bundle; None keeps what the bundle has.
        audit: Output folder of an audit of the bundle's films, whose shortcuts the card lists; None keeps what the
            bundle has.
        search: Output folder of a search that was made after the training and has the bundle's networks among its
            trials; the bundle gets its report. None keeps what the bundle has.

    Raises:
        DataError: No measure is given, `out` is not empty, films were changed and graded with another bundle, the
            audit is of other films, or the search lacks a network of the bundle.
        OutputError: `out` can't be written.
    """
    _check_empty(out)
    if not (cross_domain or robustness or audit or search):
        raise DataError(
            f"{bundle} is a bundle; give the measures that it gets, --robustness, --cross-domain, --audit or --search."
        )
    before = read_bundle(bundle)
    evidence = before.evidence
    if robustness:
        measured = _robustness(robustness)
        grader, own = measured.grader, Grader(name=before.config.name, revision=before.digest)
        if grader != own:
            raise DataError(
                f"{robustness} was measured with {grader.name}, revision {grader.revision}, and {bundle} is {own.name},"
                f" revision {own.revision}; give the output of `python -m benchmarks.robustness --bundle {bundle}`."
            )
        evidence = replace(evidence, robustness=measured)
    if cross_domain:
        evidence = replace(evidence, cross_domain=_cross_domain(cross_domain))
    if audit:
        evidence = replace(evidence, data=_with_shortcuts(evidence.data, audit))
    if search:
        evidence = replace(evidence, search=replace(evidence.search, later=later_search(before, search)))
    with _writing(out) as renewed:
        shutil.copytree(bundle, renewed)
        if robustness:
            _copy_picture(robustness, renewed)
        if search:
            copy_pages([search / REPORT], renewed / SEARCH_REPORT, "figures/search/")
        _write_evidence(renewed, before.config, evidence)
    return out


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[Path]:
    """Yield the path of a bundle that takes the place of the empty or missing folder `out` when it is complete."""
    with steps.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as bundle:
            yield bundle
            read_bundle(bundle)
            if out.exists():
                out.rmdir()


def _check_empty(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; a bundle is written to a new folder, give another --out.")


def _cross_domain(file: Path) -> tuple[CrossDomainRow, ...]:
    return _read(tuple[CrossDomainRow, ...], file, "benchmarks.cross_domain")


def _robustness(folder: Path) -> RobustnessEvidence:
    return _read(RobustnessEvidence, folder / ROBUSTNESS, "benchmarks.robustness")


def _with_shortcuts(data: DataEvidence, audit: Path) -> DataEvidence:
    summary = read_summary(audit)
    if summary.fingerprint != data.fingerprint:
        raise DataError(f"{audit} is an audit of other films than those of the bundle; audit the same films.")
    return replace(data, shortcuts=summary.shortcuts)


def _copy_picture(robustness: Path, bundle: Path) -> None:
    shutil.copyfile((robustness / ROBUSTNESS).with_suffix(".png"), bundle / "figures" / "robustness.png")


def _config(
    train: Path, fitted: Fitted, name: str, version: str, parts: Parts, settings: dict[str, Any]
) -> BundleConfig:
    members = read_record(train).members
    return BundleConfig(
        name,
        version,
        LABELS,
        replace(input_of(architectures(members, train / RECORD)), reach=settings.get("reach", 1.0)),
        tuple(map(to_json, members)),
        fitted.decision,
        fitted.temperature,
        fitted.conformal,
        fitted.refusal,
        gate=parts.gate.config if parts.gate else None,
        locator=parts.locator.config if parts.locator else None,
        protocol=settings.get("protocol", ""),
    )


def _read(kind: Any, file: Path, command: str) -> Any:
    """Return what a benchmark wrote to a file, as `kind`. Raises DataError for another file."""
    try:
        return from_json(kind, steps.read_json(file))
    except FieldError as error:
        raise DataError(f"{file} is not what `python -m {command}` writes ({error}); give its output.") from None


def _write_model(bundle: Path, train: Path, config: BundleConfig, fitted: Fitted) -> Any:
    """Write config.json, metadata.json, model.weights.h5 and model.onnx; return the Keras model as users load it."""
    model = assemble(load_members(train, config.protocol), None, config.temperature, config.decision, fitted.maps)
    with weights_in_memory():
        model.save(bundle, zipped=False)
    shutil.rmtree(bundle / "assets", ignore_errors=True)
    halve_weights(bundle / "model.weights.h5")
    loaded: Any = load_model(bundle)
    # Keras exports only a model that has been called.
    loaded.predict_on_batch(np.zeros((1, config.input.height, config.input.width, 1), np.float32))
    with contextlib.redirect_stdout(io.StringIO()):
        loaded.export(bundle / "model.onnx", format="onnx", verbose=False)
    halve_graph(bundle / "model.onnx", loaded.get_weights())
    return loaded


def _check_equal(model: keras.Model, bundle: Path, config: BundleConfig, audit: Path) -> ExportEvidence:
    """Compare Keras and ONNX on validation films; return the facts of the graph. Raises DataError when they differ."""
    knees = stratified_subset(load_knees(audit, "val", config.input), CHECKED_FILMS)
    difference = _difference(model, bundle, config, knees.inputs())
    if not difference <= LARGEST_DIFFERENCE:
        raise DataError(
            f"ONNX and Keras differ by {difference:.1e} on {len(knees)} films, and at most {LARGEST_DIFFERENCE} is"
            " allowed; report it with the versions of keras, tf2onnx and onnxruntime."
        )
    parameters = sum(model.get_layer(f"member_{index}").count_params() for index in range(len(config.members)))
    return ExportEvidence(
        onnx_keras_difference=exact(difference, n=len(knees)),
        onnx_megabytes=exact((bundle / "model.onnx").stat().st_size / 1e6),
        parameters=exact(parameters),
    )


def _difference(model: keras.Model, bundle: Path, config: BundleConfig, inputs: np.ndarray) -> float:
    """Largest absolute difference over all outputs and films, of the outputs' own scale where that is over 1."""
    keras_outputs = model.predict_on_batch(inputs)
    onnx_outputs = asdict(Network(bundle / "model.onnx", config.input).run(inputs))
    return max(
        float(
            np.abs(np.asarray(keras_outputs[name]) - onnx_outputs[name]).max()
            / max(1.0, np.abs(onnx_outputs[name]).max())
        )
        for name in OUTPUTS
    )


def _with_parts(evidence: Evidence, parts: Parts, exported: ExportEvidence) -> Evidence:
    """Return the evidence with that of the parts and of the export."""
    return replace(
        evidence,
        export=exported,
        finding=parts.locator.evidence if parts.locator else evidence.finding,
        refusal=replace(evidence.refusal, gate=parts.gate.evidence if parts.gate else None),
        cross_domain=parts.cross_domain,
    )


def _write_documents(bundle: Path, config: BundleConfig, evidence: Evidence, parts: Parts) -> None:
    """Write everything but the model and the figures."""
    (bundle / CONFIG).write_text(config.to_json(), "utf-8")
    for file, part in ((LOCATOR, parts.locator), (GATE, parts.gate)):
        if part:
            shutil.copyfile(part.graph, bundle / file)
    _write_evidence(bundle, config, evidence)


def _write_evidence(bundle: Path, config: BundleConfig, evidence: Evidence) -> None:
    """Write the evidence, the card made of it, and the manifest of all files."""
    steps.write_json(bundle / "evidence.json", evidence)
    (bundle / "README.md").write_text(render(config, evidence), "utf-8")
    write_manifest(bundle)
