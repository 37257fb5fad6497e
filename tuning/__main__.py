"""python -m tuning STEP --data PATH... --out DIR: one step of the loop, from the output of the step before."""

import argparse
import sys
from pathlib import Path

from .run import console
from .run.memory import keep_freed_memory
from .run.steps import seed_of

EXAMPLES = """examples:
  python -m tuning audit --data oai_train.zip --data oai_val.zip --data gornale.csv --out runs/audit
  python -m tuning search --data runs/audit --out runs/search --only size=128,160
  python -m tuning train --data runs/search --out runs/train --epochs 60 --seeds 0,1
  python -m tuning evaluate --data runs/train --out runs/evaluate
  python -m tuning locator --data runs/audit --out runs/locator
  python -m tuning gate --data runs/audit --out runs/gate
  python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/bundle
  python -m tuning publish --data runs/bundle --out ./hub/kneeoa --tag v1.0
"""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 1 when a step fails for a reason that the message gives; 2 for a wrong command line or a wrong
    choice.
    """
    parsed = parser().parse_args(arguments)
    console.prepare()
    keep_freed_memory()
    return console.exit_code(lambda: print(parsed.run(parsed)))


def parser() -> argparse.ArgumentParser:
    """The command line, with its subcommands."""
    whole = argparse.ArgumentParser(
        prog="python -m tuning",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = whole.add_subparsers(metavar="STEP", required=True)

    def step(
        name: str, run, text: str, data: str, out: str = "folder for what the step writes"
    ) -> argparse.ArgumentParser:
        sub = steps.add_parser(name, help=text, description=text)
        several = name in ("audit", "adapt")
        sub.add_argument("--data", required=True, action="append" if several else "store", metavar="PATH", help=data)
        sub.add_argument("--out", required=True, metavar="DIR", help=out)
        sub.set_defaults(run=run)
        return sub

    films = "folder, .zip, .tar or CSV of labelled films, as PATH or NAME=PATH; may be given several times"
    audit = step("audit", _audit, "decode every film, find copies, make splits", films)
    audit.add_argument("--seed", type=_seed, default=0, help="of the splits (default 0)")
    search = step("search", _search, "search CNN architectures with Keras Tuner", "output of audit")
    search.add_argument("--tuner", default="hyperband", help="hyperband, bayesian or random (default hyperband)")
    search.add_argument("--trials", type=_count, default=12, help="for bayesian and random (default 12)")
    search.add_argument("--epochs", type=_count, default=9, help="most epochs of one trial (default 9)")
    search.add_argument("--iterations", type=_count, default=1, help="how often Hyperband starts anew (default 1)")
    search.add_argument("--films", type=_count, default=3000, help="most training films of a trial (default 3000)")
    search.add_argument("--validation-films", type=_count, default=1000, help="most validation films (default 1000)")
    search.add_argument("--seed", type=_seed, default=0, help="of the draws and the weights (default 0)")
    search.add_argument(
        "--only", action="append", default=[], metavar="NAME=V1,V2", help="narrow a choice, such as size=96,128"
    )
    train = step(
        "train",
        _train,
        "train the winner, or several architectures, on all films",
        "output of search, or of audit for named architectures",
    )
    train.add_argument("--epochs", type=_count, default=40, help="most epochs (default 40)")
    train.add_argument(
        "--patience",
        type=_count_or_none,
        default=0,
        help=(
            "stop after so many epochs without a better validation kappa, and keep the best (default 0: train to the"
            " end, and keep that)"
        ),
    )
    train.add_argument("--batch", type=_count, default=64, help="films of one step (default 64)")
    train.add_argument("--seeds", default="0", help="one member each, such as 0,1,2 (default 0)")
    train.add_argument(
        "--architecture",
        default="winner",
        metavar="NAME,...",
        help=(
            "the search's winner, another trial's number, or a name, such as folded; folded@224 goes on at 224 pixels;"
            " several give members (default winner)"
        ),
    )
    train.add_argument(
        "--mixup", type=_share, default=0.0, help="how much films of neighbouring grades are mixed, 0 to 1 (default 0)"
    )
    train.add_argument(
        "--occlusion", type=_share, default=0.0, help="share of the films with a blanked rectangle, 0 to 1 (default 0)"
    )
    train.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default="float32",
        help="mixed_bfloat16 is quicker where it is known",
    )
    train.add_argument("--datasets", default="", help="train on these alone, such as oai (default all)")
    train.add_argument(
        "--teacher",
        default="",
        metavar="ADDRESS",
        help="a bundle trained on the same films: its answers count as half of the label",
    )
    train.add_argument(
        "--join",
        action="append",
        default=[],
        metavar="FILE|ADDRESS",
        help=(
            "members as they are: a member-NAME.weights.h5 of another training, or a bundle; may be given several"
            " times; --architecture none adds no new one"
        ),
    )
    train.add_argument(
        "--members", default="", metavar="NAME,...", help="of the members that join, these alone (default all)"
    )
    adapt = step("adapt", _adapt, "fine-tune or only recalibrate a published model on your films", films)
    adapt.add_argument(
        "--from", dest="address", metavar="ADDRESS", help="the bundle to start from (default: the shipped one)"
    )
    adapt.add_argument(
        "--recalibrate", action="store_true", help="leave the weights; fit temperature, decision rule, sets and refusal"
    )
    adapt.add_argument("--epochs", type=_count, default=15, help="of fine-tuning; the best one is kept (default 15)")
    adapt.add_argument("--seed", type=_seed, default=0, help="of the splits (default 0)")
    adapt.add_argument("--name", default="kneeoa-adapted", help="of the new bundle (default kneeoa-adapted)")
    adapt.add_argument("--version", default="0.1.0", help="of the new bundle (default 0.1.0)")
    evaluate = step("evaluate", _evaluate, "calibrate on validation and measure", "output of train")
    evaluate.add_argument("--validation-only", action="store_true", help="do not look at the test films")
    evaluate.add_argument(
        "--copies",
        metavar="AUDIT",
        help="a newer audit of the same films: knees that training saw in another film are told apart",
    )
    evaluate.add_argument(
        "--gallery", metavar="DIR", help="also write sheets of right, wrong and uncertain validation films there"
    )
    gate = step("gate", _gate, "train and measure the network that tells knees from what is none", "output of audit")
    gate.add_argument("--pictures", type=_count, default=40000, help="to train on (default 40000)")
    gate.add_argument("--epochs", type=_count, default=16, help="(default 16)")
    locator = step("locator", _locator, "train the network that finds the joints, and measure it", "output of audit")
    locator.add_argument("--films", type=_count, default=4500, help="composed from training knees (default 4500)")
    locator.add_argument(
        "--epochs",
        type=_count,
        default=12,
        help="over them, as many crops as a third, and a few synthetic films (default 12)",
    )
    locator.add_argument(
        "--test-films", type=_count, default=1500, help="composed from validation knees, to measure on (default 1500)"
    )
    locator.add_argument(
        "--grader", metavar="ADDRESS", help="the bundle that grades what was found (default: the shipped one)"
    )
    locator.add_argument("--seed", type=_seed, default=0, help="of the draws and the weights (default 0)")
    export = step("export", _export, "write the bundle", "output of evaluate", "the bundle's folder")
    export.add_argument("--name", default="kneeoa-local", help="of the bundle (default kneeoa-local)")
    export.add_argument("--version", default="0.1.0", help="of the bundle (default 0.1.0)")
    export.add_argument(
        "--locator",
        metavar="DIR",
        help="output of locator, or a bundle that has one; without it the bundle finds knees by rule alone",
    )
    export.add_argument(
        "--gate",
        metavar="DIR",
        help="output of gate, or a bundle that has one; without it the bundle refuses by contrast and distance alone",
    )
    export.add_argument(
        "--cross-domain",
        metavar="FILE",
        help="cross-domain.json of `python -m benchmarks.cross_domain`, for the card to tell of",
    )
    publish = step(
        "publish", _publish, "push the bundle with its card", "a bundle", "a versioned folder, or org/name on the Hub"
    )
    publish.add_argument("--tag", help="such as v1.0")
    publish.add_argument("--private", action="store_true", help="make a new Hub repo private")
    return whole


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _count_or_none(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _seed(text: str) -> int:
    try:
        return seed_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _audit(arguments: argparse.Namespace) -> str:
    from .audit import audit

    out = audit(arguments.data, Path(arguments.out), arguments.seed)
    return f"audit: {out / 'report.md'}"


def _search(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .search import search
        from .training.tuners import SearchSettings

    only = {name: values.split(",") for name, _, values in (text.partition("=") for text in arguments.only)}
    settings = SearchSettings(
        arguments.tuner,
        arguments.trials,
        arguments.epochs,
        arguments.iterations,
        arguments.films,
        arguments.validation_films,
        seed=arguments.seed,
        only=only or None,
    )
    out = search(Path(arguments.data), Path(arguments.out), settings)
    return f"search: {out / 'report.md'}, {out / 'best.json'}"


def _train(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .train import TrainSettings, seeds_of, train

    settings = TrainSettings(
        arguments.epochs,
        arguments.patience,
        arguments.batch,
        seeds_of(arguments.seeds),
        tuple(arguments.architecture.split(",")),
        arguments.mixup,
        arguments.occlusion,
        tuple(name for name in arguments.datasets.split(",") if name),
        arguments.precision,
        arguments.teacher,
        tuple(arguments.join),
        tuple(filter(None, arguments.members.split(","))),
    )
    return f"train: {train(Path(arguments.data), Path(arguments.out), settings) / 'train.json'}"


def _adapt(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from kneeoa_hub.bundle import read_bundle
        from kneeoa_hub.hub.pull_push import pull

        from .adapt import AdaptSettings, adapt
        from .evaluate import evaluate
        from .export import export

    out = Path(arguments.out)
    settings = AdaptSettings(arguments.recalibrate, arguments.epochs, seed=arguments.seed)
    trained = adapt(arguments.address, arguments.data, out, settings)
    evaluated = evaluate(trained, out / "evaluate")
    base = pull(arguments.address)
    config = read_bundle(base).config
    finds, gate = base if config.locator else None, base if config.gate else None
    bundle = export(evaluated, out / "bundle", name=arguments.name, version=arguments.version, locator=finds, gate=gate)
    return f"bundle: {bundle}"


def _evaluate(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .evaluate import evaluate
        from .evaluation.gallery import gallery

    out = evaluate(
        Path(arguments.data),
        Path(arguments.out),
        test=not arguments.validation_only,
        copies=Path(arguments.copies) if arguments.copies else None,
    )
    sheets = f"\ngallery: {gallery(out, Path(arguments.gallery))}" if arguments.gallery else ""
    return f"evaluate: {out / 'evidence.json'}{sheets}"


def _gate(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .gate import GateSettings, gate

    settings = GateSettings(arguments.pictures, arguments.epochs)
    return f"gate: {gate(Path(arguments.data), Path(arguments.out), settings) / 'gate.md'}"


def _export(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .export import export

    found, gate, carried = (
        Path(given) if given else None for given in (arguments.locator, arguments.gate, arguments.cross_domain)
    )
    named = {"name": arguments.name, "version": arguments.version}
    return (
        "bundle:"
        f" {export(Path(arguments.data), Path(arguments.out), **named, locator=found, gate=gate, cross_domain=carried)}"
    )


def _locator(arguments: argparse.Namespace) -> str:
    with console.quiet_start():
        from .locator import LocatorSettings, locator

    settings = LocatorSettings(
        arguments.films, arguments.epochs, test_films=arguments.test_films, seed=arguments.seed, grader=arguments.grader
    )
    return f"locator: {locator(Path(arguments.data), Path(arguments.out), settings) / 'locator.json'}"


def _publish(arguments: argparse.Namespace) -> str:
    from .publish import publish

    return f"published: {publish(Path(arguments.data), arguments.out, tag=arguments.tag, private=arguments.private)}"


if __name__ == "__main__":
    sys.exit(main())
