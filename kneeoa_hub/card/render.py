"""Renders the model card from bundle.json and evidence.json in a template, so that nobody types a number."""

import re
from pathlib import Path
from string import Template

from ..bundle import BundleConfig
from ..errors import BundleIncomplete
from ..evidence import BaseModel, Evidence
from ..grades import GRADES
from ..report import DISCLAIMER
from ..sources import collection_title, title
from . import changed, external, finding, results, training
from .data import data
from .metadata import metadata
from .text import escaped, figure, label, section

SHIPPED = "kneeoa-cnn"
"""`from_pretrained()` without an address gives this bundle."""
FITTED_ON = {
    "val": "the validation films",
    "train+val": "the training and validation films, which the weights have not seen,",
}
"""The card names the films of a calibration in these words, by the splits in evidence.json."""
_BLANK_LINES = re.compile(r"\n{3,}")


def render(config: BundleConfig, evidence: Evidence, figures: str = "figures/") -> str:
    """Return the card as Markdown with the Hub's metadata.

    Args:
        config: The content of bundle.json.
        evidence: The content of evidence.json.
        figures: The prefix of the links to pictures, with a slash at its end.

    Raises:
        BundleIncomplete: The evidence is not that of an exported bundle.
    """
    if evidence.export is None:
        raise BundleIncomplete("evidence.json has no `export`; write the bundle with `python -m tuning export`.")
    shipped = config.name == SHIPPED
    template = Template((Path(__file__).parent / "template.md").read_text("utf-8"))
    text = template.substitute(
        metadata=metadata(config, evidence),
        name=config.name,
        version=config.version,
        disclaimer=DISCLAIMER,
        headline=results.headline(evidence),
        protocol=_protocol(config.protocol),
        failures=_failures(evidence),
        base=_base(evidence.base, evidence),
        address="" if shipped else '"ORG/NAME"',
        evaluations=results.evaluations(evidence),
        all_sets=results.all_sets(evidence.metrics),
        cross_domain=external.cross_domain(evidence),
        without_seen=results.without_seen(evidence),
        two_knee_strips=external.two_knee_strips(evidence),
        recall=results.recall(evidence),
        osteoarthritis=results.osteoarthritis(evidence),
        set_coverage=results.set_coverage(config, evidence, figures),
        peers=external.peers(evidence),
        subgroups=results.subgroups(evidence),
        finding=finding.finding(evidence.finding),
        changed=changed.changed(evidence.robustness, figures),
        joint=finding.joint((evidence.joint, *evidence.other_joints) if evidence.joint else (), figures),
        figures=figures.removesuffix("/"),
        temperature=f"{config.temperature:.3f}",
        rule=rule(config),
        fitted_on=f"{FITTED_ON[evidence.calibration.fitted_on]} of {_fitted_for(config.protocol)}",
        calibration_error=results.calibration_error(evidence),
        refused="; ".join(f"{figure(row.refused)} on {label(name)}" for name, row in evidence.metrics.items()),
        rules_tried=results.rules_tried(evidence),
        other_levels=results.other_levels(evidence),
        refusing=finding.refusing(evidence.refusal.gate, evidence.finding),
        data=data(evidence.data),
        architecture=training.architecture(config, evidence, evidence.export),
        curves=training.curves(config, evidence, figures),
        members=training.members(config, evidence),
        reproduce=training.reproduce(evidence) if shipped else "",
        scale="\n".join(f"- {grade.value} {grade.label}: {grade.criterion}" for grade in GRADES),
    )
    return _BLANK_LINES.sub("\n\n", text)


def summary(evidence: Evidence) -> list[str]:
    """Return a line for each set of films, and below it a line for each of its main measures."""
    width = max(map(len, results.MEASURES))
    lines = []
    for name, row in evidence.metrics.items():
        lines.append(f"{title(name)}, {row.qwk.n} knees")
        for heading, estimate in zip(results.MEASURES, results.measures(row), strict=True):
            lines.append(f"  {heading:<{width}}  {figure(estimate)}")
    return lines


def _failures(evidence: Evidence) -> str:
    """Describe in a list what a reader should know before the first use."""
    test = results.held_out(evidence)
    grades = {name: evidence.by_grade[name] for name in test if name in evidence.by_grade}
    recall = results.lowest({name: row.recall for name, row in grades.items()})
    coverage = results.lowest({name: row.coverage for name, row in grades.items() if row.coverage})
    points = {
        "Films of another source": external.other_sources(evidence),
        "Missed osteoarthritis": results.missed(evidence),
        "False alarms": results.false_alarms(evidence),
        "Weak grades": recall
        and f"The lowest recall, the proportion of knees that get the reader's grade, is at {recall}.",
        "Wide prediction sets": results.wide_sets(evidence)
        + (f" That proportion is lowest at {coverage}." if coverage else ""),
        "Changed films": changed.worst(evidence.robustness),
        "Unsuitable films": finding.unsuitable(evidence.refusal.gate, evidence.finding),
        "Unknown groups": "Age, sex, race, site and machine are not in the data. Differences between such groups are"
        " not known.",
        "Uncertain labels": "There is one grade for each knee, by one reading. Grades in the data may be wrong, and how"
        " far readers agree was not measured here.",
    }
    return "\n".join(f"- **{name}.** {text}" for name, text in points.items() if text)


def _base(base: BaseModel | None, evidence: Evidence) -> str:
    """Describe where an adapted bundle comes from, and what the original bundle measures on the same films."""
    if not base:
        return ""
    how = "only recalibrated: it has the weights of" if base.recalibrated_only else "fine-tuned from"
    return section(
        "## Where it comes from",
        f"This model was {how} {escaped(base.name)} ({base.address}, revision `{base.revision}`). That model, on the"
        " same films:",
        results.all_sets(evidence.before),
    )


def _protocol(name: str) -> str:
    """Name the readers whose grades the model follows."""
    if not name:
        return ""
    return f"The grades follow the readers of {escaped(collection_title(name))}, on films of every source."


def _fitted_for(protocol: str) -> str:
    """Name the collections whose films a calibration takes: those that were read by its protocol."""
    return escaped(collection_title(protocol)) if protocol else "all collections together"


def rule(config: BundleConfig) -> str:
    """Return the decision rule of a bundle in words."""
    if config.decision.rule == "argmax":
        return "the likeliest grade"
    if config.decision.rule == "median":
        return "the grade at which half of the probability is reached"
    return "the expected grade, cut at " + ", ".join(f"{cut:.2f}" for cut in config.decision.thresholds)
