"""The model card: a rendering of bundle.json and evidence.json, so no number in it is typed by hand."""

from collections import Counter
from collections.abc import Mapping

from ..bundle import BundleConfig
from ..errors import BundleIncomplete
from ..evidence import Evidence
from ..grades import GRADES
from ..report import DISCLAIMER
from . import external, sections, training
from .sections import architectures, figure, origin, title

COLUMNS = {
    "qwk": "QWK",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mae": "MAE (grades)",
    "auc_oa": "AUC, KL >= 2",
    "ece": "ECE",
    "coverage": "90% set: coverage",
    "set_size": "90% set: mean size",
}
SOURCES = {
    "oai": (
        "Chen, Pingjun (2018), Knee Osteoarthritis Severity Grading Dataset, Mendeley Data V1,"
        " doi:10.17632/56rmx5bjcr.1; organised from the Osteoarthritis Initiative, whose own data-use terms apply to"
        " the raw study."
    ),
    "gornale": (
        "Gornale, Shivanand; Patravali, Pooja (2020), Digital Knee X-ray Images, Mendeley Data V1,"
        " doi:10.17632/t9ndx37v5h.1."
    ),
}
READERS = {
    "oai": (
        "Grades of the OAI set: those of the Osteoarthritis Initiative's central reading of fixed-flexion films, as the"
        " set's author sorted them by folder; one grade a knee, the readers are not told apart."
    ),
    "gornale": (
        "Grades of the Gornale set: the folders of its first expert. Those of the second expert hold the same files,"
        " 99.3% under the same grade, so they are no second reading and are not used. How the experts read is not"
        " published."
    ),
}
"""How the labels were made, as far as their sources say."""
SHIPPED = "kneeoa-cnn"
"""The bundle that `from_pretrained()` gives without an address."""


def render(config: BundleConfig, evidence: Evidence, figures: str = "figures/") -> str:
    """The card as Markdown with Hub metadata; `figures` is the prefix of its picture links.

    Raises BundleIncomplete when the evidence lacks a figure.
    """
    if evidence.export is None:
        raise BundleIncomplete("evidence.json has no `export`; write the bundle with `python -m tuning export`.")
    return _rendered(config, evidence, figures)


def summary(evidence: Evidence) -> list[str]:
    """Returns a line for each set of films, of its main measures."""
    return [
        f"{name} ({metrics.qwk.n} knees): "
        + ", ".join(f"{title} {figure(getattr(metrics, key))}" for key, title in COLUMNS.items())
        for name, metrics in evidence.metrics.items()
    ]


def _rendered(config: BundleConfig, evidence: Evidence, figures: str) -> str:
    parts = [
        _metadata(config, evidence),
        f"# {config.name} {config.version}",
        "Grades the severity of knee osteoarthritis on a frontal radiograph: Kellgren-Lawrence (KL) 0 to 4.",
        f"**{DISCLAIMER}**",
        _use(config),
        (
            "## Intended use\n\nResearch on automatic grading, teaching, a starting point for fine-tuning on a site's"
            " own films. Not for diagnosis, treatment, triage or insurance; not for children, implants, fractures,"
            " lateral or skyline views, photographs of films."
        ),
        _adapted(evidence),
        "## Figures\n\n" + _looks(evidence) + "\n\n" + _metrics(evidence),
        external.cross_domain(evidence),
        sections.without_seen(evidence),
        external.two_knee_strips(evidence),
        _by_grade(evidence, "recall", "Recall by grade:"),
        sections.osteoarthritis(evidence),
        _by_grade(
            evidence,
            "coverage",
            "Knees whose 90% set holds their grade, by grade. The level is kept over all knees together, not within"
            " each grade:",
        ),
        f"![Grade sets by grade]({figures}sets.png)" if sections.reported_apart(evidence) else "",
        external.peers(evidence),
        sections.subgroups(evidence),
        sections.finding(evidence.finding),
        sections.joint(evidence, figures),
        f"![Confusion by set]({figures}confusion.png)\n\n![Confidence and share right]({figures}calibration.png)",
        _calibration(config, evidence),
        sections.rules_tried(evidence),
        sections.levels(evidence),
        sections.refusing(evidence),
        _data(evidence),
        _architecture(config, evidence),
        training.curves(config, evidence, figures),
        training.members(config, evidence),
        training.reproduce(evidence) if config.name == SHIPPED else "",
        (
            "## What could not be measured\n\nAge, sex, race, site, and machine are not in the data, so nothing is"
            " known about differences between such groups. Grades come from one reading protocol each, and are no"
            " better than readers are: published kappas, not weighted, are .46 to .50 between readers and .57 to .75"
            " for one reader twice; the quadratic weighted kappas above are of another kind and not to be set beside"
            " them. Films of other hospitals differ: adapt and recalibrate on your own first."
        ),
        (
            "## Licence and citation\n\nWeights: CC BY 4.0. Code: Apache-2.0. Cite this package (CITATION.cff) and the"
            " data above."
        ),
        "The scale: " + "; ".join(f"{g.value} {g.label}: {g.criterion.rstrip('.').lower()}" for g in GRADES) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _use(config: BundleConfig) -> str:
    address = "" if config.name == SHIPPED else '"ORG/NAME"'
    where = "" if config.name == SHIPPED else "  # or ./the/folder of this bundle"
    return (
        "## Use\n\n```python\nimport kneeoa_hub\n\ngrader ="
        f' kneeoa_hub.from_pretrained({address}){where}\nprint(grader.grade("knee.png").findings())\n```\n\nFor'
        " fine-tuning, from where this bundle was pushed to:\n\n```python\nimport keras\n\nmodel ="
        ' keras.saving.load_model("hf://ORG/NAME")\n```'
    )


def _metadata(config: BundleConfig, evidence: Evidence) -> str:
    lines = [
        "---",
        "library_name: keras",
        "pipeline_tag: image-classification",
        "license: cc-by-4.0",
        "language: en",
        "tags: [medical, radiology, knee, osteoarthritis, kellgren-lawrence, onnx]",
        "datasets:",
        *(f"- {name}" for name in sorted({_dataset(name) for name in evidence.metrics})),
        *_base_model(evidence),
        "metrics: [accuracy, cohen_kappa]",
        "model-index:",
        f"- name: {config.name}",
        "  results:",
    ]
    for name, metrics in sections.held_out(evidence).items():
        lines += [
            "  - task: {type: image-classification, name: Kellgren-Lawrence grading}",
            f"    dataset: {{name: {title(name)!r}, type: {_dataset(name)}, split: {name.rsplit('_', 1)[-1]}}}",
            "    metrics:",
            f"    - {{type: cohen_kappa, name: quadratic weighted kappa, value: {metrics.qwk.value:.4f}}}",
            f"    - {{type: accuracy, value: {metrics.accuracy.value:.4f}}}",
        ]
    return "\n".join([*lines, "---"])


def _base_model(evidence: Evidence) -> list[str]:
    """The metadata's line for a bundle made from one on the Hub."""
    address = evidence.base.address.removeprefix("hf://").partition("@")[0] if evidence.base else ""
    on_hub = address.count("/") == 1 and not address.startswith((".", "/", "~"))
    return [f"base_model: {address}"] if on_hub else []


def _adapted(evidence: Evidence) -> str:
    base = evidence.base
    if not base:
        return ""
    how = "Only recalibrated: its weights are those of" if base.recalibrated_only else "Fine-tuned from"
    lines = [
        (
            f"## Where it comes from\n\n{how} {base.name} ({base.address}, revision `{base.revision}`). That"
            " one, on the same films:"
        ),
        "",
    ]
    lines += ["| set | films | " + " | ".join(COLUMNS.values()) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for name, metrics in evidence.before.items():
        cells = " | ".join(figure(getattr(metrics, key)) for key in COLUMNS)
        lines.append(f"| {title(name)} | {metrics.qwk.n} | {cells} |")
    return "\n".join(lines)


def _dataset(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _looks(evidence: Evidence) -> str:
    looks = int(evidence.test_looks.value)
    if not looks:
        return (
            "The held-out test films have not been looked at for this version. Calibration was fitted on these"
            " validation films, so they flatter it."
        )
    before = evidence.test_evaluations - looks
    earlier = (
        f" They had been looked at {_times(before)} before, for earlier choices of networks of which some are here."
        if before
        else ""
    )
    return (
        f"Test films were looked at {_times(looks)} for this version; everything was chosen on validation"
        f" films.{earlier} Rows of validation films are of those that temperature, rule and sets were fitted on, and"
        " flatter them."
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _metrics(evidence: Evidence) -> str:
    lines = ["| set | films | " + " | ".join(COLUMNS.values()) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for name, metrics in evidence.metrics.items():
        cells = " | ".join(figure(getattr(metrics, key)) for key in COLUMNS)
        lines.append(f"| {title(name)} | {metrics.qwk.n} | {cells} |")
    return (
        "\n".join(lines)
        + "\n\n95% intervals by bootstrap over patients or clusters of copies; shares in the tables of finding and"
        " refusing, and shares of 0 and 1, by Wilson over films. ECE is of the likeliest grade, over 15 bins; its"
        " interval is centred, since drawing films twice raises it by itself."
    )


def _by_grade(evidence: Evidence, name: str, heading: str) -> str:
    tables = {films: getattr(tables, name) for films, tables in evidence.by_grade.items() if getattr(tables, name)}
    if not tables:
        return ""
    lines = [
        heading,
        "",
        "| set | " + " | ".join(f"{g.value} {g.label}" for g in GRADES) + " |",
        "|---|" + "---|" * len(GRADES),
    ]
    for films, figures in tables.items():
        cells = [figure(figures[str(g.value)], 2) if str(g.value) in figures else "none" for g in GRADES]
        lines.append(f"| {title(films)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


FITTED_ON = {"val": "validation films", "train+val": "training and validation films, which the weights have not seen"}


def _calibration(config: BundleConfig, evidence: Evidence) -> str:
    cuts = ", ".join(f"{cut:.2f}" for cut in config.decision.thresholds)
    rule = "the likeliest" if config.decision.rule == "argmax" else f"the expected grade, cut at {cuts}"
    return (
        f"## Calibration and refusal\n\nTemperature {config.temperature:.3f}; reported grade: {rule}; both chosen on"
        f" {FITTED_ON[evidence.calibration.fitted_on]} of all datasets"
        f" together.\n\n{sections.calibration(evidence)}\n\nA film far from the training films in the network's"
        " embedding is refused; share refused: "
        + "; ".join(f"{title(name)} {figure(metrics.refused)}" for name, metrics in evidence.metrics.items())
        + "."
    )


def _data(evidence: Evidence) -> str:
    lines = ["## Data", "", "| dataset | split | 0 | 1 | 2 | 3 | 4 |", "|---|---|---|---|---|---|---|"]
    for dataset, splits in evidence.data.splits.items():
        lines += [
            f"| {dataset} | {split} | " + " | ".join(map(str, counts)) + " |"
            for split, counts in splits.items()
            if sum(counts)
        ]
    lines += [
        "",
        "No patient and no cluster of copies that was known at training is in two splits. Left out: "
        + _left_out(evidence.data.left_out)
        + ".",
    ]
    lines += sections.shown_twice(evidence.data)
    lines += [
        f"Inverted grays, put right before use: {count} films of {name}."
        for name, count in evidence.data.inverted.items()
    ]
    lines += sections.shortcuts(evidence.data)
    lines += ["", *(f"- {SOURCES[name]}" for name in evidence.data.splits if name in SOURCES)]
    lines += ["", *(READERS[name] for name in evidence.data.splits if name in READERS)]
    return "\n".join(lines)


def _left_out(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count} films ({reason})" for reason, count in sorted(reasons.items())) or "none"


def _architecture(config: BundleConfig, evidence: Evidence) -> str:
    search, export = evidence.search, evidence.export
    assert export
    found = (
        f"Searched by Keras Tuner ({search.tuner}, {int(search.trials.value)} trials, best validation QWK"
        f" {search.best_val_qwk.value:.3f} within the search's short trials; best.json sha256"
        f" `{search.best_json_sha256[:16]}`)."
        if search.trials.value and search.best_val_qwk
        else "Not searched."
    )
    counts = Counter(name for entry in config.members for name in architectures([entry]))
    parts = "; ".join(f"{origin(name)} ({count} of {len(config.members)} members)" for name, count in counts.items())
    return (
        f"## Architecture\n\n{found} Trained in full: {parts}. {int(export.parameters.value)} parameters, ONNX"
        f" graph {export.onnx_megabytes.value:.1f} MB; ONNX and Keras differ by at most"
        f" {export.onnx_keras_difference.value:.0e}. Input: gray,"
        f" {config.input.height}x{config.input.width}{_cropped(config)}, aspect kept, percentiles {config.input.low:g}"
        f" to {config.input.high:g} stretched, standardised by film; shrunk in the network for a member of smaller"
        " size. Each member's answers are averaged over the film and its mirror image; one that folds lets the right"
        f" half, mirrored, through the same layers as the left one, to the same end.{_origin(evidence)}\n\n"
        + _choices(config)
    )


def _origin(evidence: Evidence) -> str:
    """Where members come from that were not trained for this version."""
    origin = evidence.training.origin
    return f" {origin[:1].upper()}{origin[1:]}." if origin else ""


def _choices(config: BundleConfig) -> str:
    """A column an architecture."""
    columns = architectures(config.members)
    lines = ["| choice | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for key in next(iter(columns.values())):
        cells = " | ".join(_told(choices[key]) for choices in columns.values())
        lines.append(f"| {key.replace('_', ' ')} | {cells} |")
    return "\n".join(lines)


def _told(choice: object) -> str:
    return "none" if choice == "" else f"{choice:.3g}" if isinstance(choice, float) else str(choice)


def _cropped(config: BundleConfig) -> str:
    return "" if config.input.crop == "fit" else " (the middle rows of the film)"
