"""Writes the card's metadata, the block of YAML by which the Hub knows the model."""

import math
import re
from typing import Any

from ..bundle import BundleConfig
from ..evidence import Evidence
from ..sources import title
from .results import held_out

TAGS = ["medical", "radiology", "knee", "osteoarthritis", "kellgren-lawrence", "onnx"]
TASK = "image-classification"
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9].*")


def metadata(config: BundleConfig, evidence: Evidence) -> str:
    """Return the YAML block with its fences."""
    from huggingface_hub import EvalResult, ModelCardData

    results = []
    for name, row in held_out(evidence).items():
        measures = [
            ("cohen_kappa", "quadratic weighted kappa", row.qwk.value),
            ("accuracy", "accuracy", row.accuracy.value),
        ]
        results += [
            EvalResult(
                task_type=TASK,
                task_name="Kellgren-Lawrence grading",
                dataset_type=_dataset(name),
                dataset_name=title(name),
                dataset_split=name.rpartition("_")[2],
                metric_type=kind,
                metric_name=words,
                metric_value=round(value, 4),
            )
            for kind, words, value in measures
        ]
    data = ModelCardData(
        language="en",
        license="cc-by-4.0",
        library_name="keras",
        pipeline_tag=TASK,
        tags=TAGS,
        datasets=sorted({_dataset(name) for name in evidence.metrics}),
        base_model=_base_model(evidence),
        metrics=["accuracy", "cohen_kappa"],
        model_name=config.name,
        eval_results=results,
    )
    return f"---\n{_yaml(data.to_dict())}---"


def _dataset(name: str) -> str:
    return name.rpartition("_")[0] or name


def _base_model(evidence: Evidence) -> str | None:
    """Return the Hub repo that an adapted bundle was made from."""
    address = evidence.base.address.removeprefix("hf://").partition("@")[0] if evidence.base else ""
    return address if address.count("/") == 1 and not address.startswith((".", "/", "~")) else None


def _yaml(document: dict[str, Any]) -> str:
    """Return YAML whose strings stay strings, also for readers of YAML 1.2, to whom a plain 1e3 is a number."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _LIKE_A_NUMBER, list("-+.0123456789"))
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
