"""The command lines of the steps from trained members to a published bundle: evaluate, export and publish."""

import argparse
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import SettingsError

from ..run import console
from .command import Command

TEXTS = ("name", "version")
LATER = {
    "audit": "the output of evaluate, which knows its audit; leave --audit out",
    "search": "the output of evaluate, which knows the search that found its members; leave --search out",
    "robustness": "the output of evaluate, which graded none of them; export it, and give the bundle with --data",
}
"""Only a bundle gets these, why, and what to do."""
MEASURES = ("cross_domain", *LATER)
FOLDERS = ("locator", "gate", *MEASURES)
"""These options of `export` are texts, and those files or folders."""


def _evaluate_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--validation-only", action="store_true", help="do not measure on the test films")
    copies = (
        "a newer audit of the same films: nothing is fitted on a knee that another training film shows, and measures"
        " are also given without such knees"
    )
    step.add_argument("--copies", metavar="AUDIT", help=copies)
    protocol = "the dataset whose readers the grades follow, of a training with --protocols (default: its largest)"
    step.add_argument("--protocol", default="", metavar="DATASET", help=protocol)
    reach = "side of a frame over that of the joint's box (default: that of the training, or of the adapted bundle)"
    step.add_argument("--reach", type=float, metavar="R", help=reach)
    sheets = "also write sheets of correctly graded, wrongly graded and uncertain validation films to this folder"
    step.add_argument("--gallery", metavar="DIR", help=sheets)


def _evaluate(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..evaluate import evaluate
        from ..evaluation.gallery import gallery

    copies = Path(options.copies) if options.copies else None
    chosen = {"test": not options.validation_only, "protocol": options.protocol, "reach": options.reach}
    out = evaluate(Path(options.data), Path(options.out), copies=copies, **chosen)
    sheets = f"\ngallery: {gallery(out, Path(options.gallery))}" if options.gallery else ""
    return f"evaluate: {out / 'evidence.json'}{sheets}"


EVALUATE = Command(
    "evaluate",
    "calibrate on validation films, and measure",
    "python -m tuning evaluate --data runs/train --out runs/evaluate",
    "output of train",
    _evaluate_options,
    _evaluate,
)


def _export_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--name", help="name of the bundle (default kneeoa-local)")
    step.add_argument("--version", help="version of the bundle (default 0.1.0)")
    locator = "output of locator, or a bundle with a locator; without it the bundle finds knees by a rule"
    step.add_argument("--locator", metavar="DIR", help=locator)
    gate = (
        "output of gate, or a bundle with a gate; without it the bundle refuses only by contrast, colour and distance"
    )
    step.add_argument("--gate", metavar="DIR", help=gate)
    cross_domain = "cross-domain.json of `python -m benchmarks.cross_domain`, for the card"
    step.add_argument("--cross-domain", metavar="FILE", help=cross_domain)
    robustness = "output of `python -m benchmarks.robustness` with the bundle that is given with --data, for the card"
    step.add_argument("--robustness", metavar="DIR", help=robustness)
    audit = "audit of the films of the bundle that is given with --data: its shortcuts, for the card"
    step.add_argument("--audit", metavar="DIR", help=audit)
    search = "search that has the networks of the bundle that is given with --data among its trials: its report"
    step.add_argument("--search", metavar="DIR", help=search)


def _export(options: argparse.Namespace) -> str:
    with console.quiet_start():
        from ..export import CONFIG, export, renew

    data, out = Path(options.data), Path(options.out)
    folders: dict[str, Any] = {name: Path(given) for name in FOLDERS if (given := getattr(options, name))}
    texts: dict[str, Any] = {name: given for name in TEXTS if (given := getattr(options, name))}
    if not (data / CONFIG).is_file():
        for name in LATER:
            if getattr(options, name):
                raise SettingsError(f"--{name}: {data} is {LATER[name]}.")
        return f"bundle: {export(data, out, **texts, **folders)}"
    if kept := sorted({*texts, *folders}.difference(MEASURES)):
        raise SettingsError(
            f"--{kept[0]}: {data} is a bundle, which keeps its name, version and networks; it can only get other"
            " measures, with --robustness, --cross-domain, --audit and --search."
        )
    return f"bundle: {renew(data, out, **folders)}"


EXPORT = Command(
    "export",
    "write the bundle",
    "python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/bundle",
    "output of evaluate; or a bundle, which gets the measures of --robustness, --cross-domain, --audit and --search and"
    " stays the same otherwise",
    _export_options,
    _export,
    out="folder of the bundle, new or empty",
)


def _publish_options(step: argparse.ArgumentParser) -> None:
    step.add_argument("--tag", help="name of this revision, such as v1.0")
    step.add_argument("--private", action="store_true", help="make a new Hub repo private")


def _publish(options: argparse.Namespace) -> str:
    from ..publish import publish

    return f"published: {publish(Path(options.data), options.out, tag=options.tag, private=options.private)}"


PUBLISH = Command(
    "publish",
    "push the bundle with its card",
    "python -m tuning publish --data runs/bundle --out ./hub/kneeoa --tag v1.0",
    "a bundle",
    _publish_options,
    _publish,
    out="a versioned folder, or org/name on the Hub",
)
