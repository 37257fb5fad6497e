"""The quick start runs the whole loop, small, on synthetic films.

python -m tuning.quickstart --out runs/quickstart
"""

import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.evidence import read_evidence
from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.phantom import knee_film, sample_films, write_films

from .run import console, steps
from .run.memory import keep_freed_memory

FILMS = 400
"""The quickstart draws 400 synthetic films."""
SEARCH_SPACE = {
    "size": ["96"],
    "stem": ["conv5"],
    "widths": ["16-32-64-128", "48-96-192"],
    "normalisation": ["True"],
    "dense": [""],
    "pooling": ["average", "max", "attention"],
    "blocks": ["1"],
}
SEARCH: dict[str, Any] = {"tuner": "random", "trials": 4, "epochs": 3, "films": 240, "batch": 16, "only": SEARCH_SPACE}
TRAIN: dict[str, Any] = {"epochs": 10, "batch": 16}
SHOWN = ("view", "block", "widths", "pooling", "loss", "learning_rate")
"""These choices of the best architecture are shown."""
TRIED_GRADE, TRIED_SEED = 3, 987_654
"""The new bundle grades a film of this grade and seed; it was not trained on it."""


def quickstart(out: Path) -> None:
    """Search, train, evaluate, export, publish, pull and grade; steps that `out` holds already are not run again."""
    began = time.monotonic()
    steps.begin(out, "quickstart", "", {"films": FILMS, "search": SEARCH, "train": TRAIN})
    bundle = out / "bundle"
    if bundle.exists():
        say(f"1-5 are already done; the bundle is {bundle}")
    else:
        _make_bundle(out, bundle)
    say("6 publish to a versioned folder, pull from there, and grade")
    from .publish import publish

    address = publish(bundle, out / "hub" / "kneeoa-synthetic", tag="v0.1")
    show(f"published as {address}")
    report = from_pretrained(address).grade(knee_film(TRIED_GRADE, TRIED_SEED).pixels)
    show(f"a film drawn as grade {TRIED_GRADE}, graded by the pulled bundle:")
    show(*report.findings().splitlines(), before="   | ")
    say("The shipped weights on sample films")
    samples = _grade_samples(out / "samples", out / "overlays")
    print(f"""
Done in {(time.monotonic() - began) / 60:.1f} minutes.
Synthetic films show that the loop runs, not how well a model grades.

What is where:
  {out / "search" / "report.md"}   the search and its plots
  {bundle / "README.md"}   the model card of the synthetic bundle
  {address}   where it was published
  {samples}   sample films
  {out / "overlays"}   how the shipped weights grade them

What to try next:
  .venv/bin/kneeoa grade {samples / "moderate.png"}
  .venv/bin/kneeoa info
  make app      the web page, on http://127.0.0.1:8000
  make space    the demo, on http://127.0.0.1:7860""")


def _make_bundle(out: Path, bundle: Path) -> None:
    """Run steps 1 to 5, from drawing the films to the bundle."""
    films = out / "films"
    if not films.exists():
        say("Drawing synthetic films")
        with replacing(films) as part:
            write_films(part, FILMS, progress=steps.progress)
    from .audit import audit
    from .data.summary import read_summary

    say("1 audit: copies and splits")
    audited = audit([f"synthetic={films}"], out / "audit")
    summary = read_summary(audited)
    counts = {split: sum(grades) for split, grades in summary.splits["synthetic"].items()}
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    show(f"{summary.films} films of {summary.groups} patients: {parts}")
    with console.quiet_start():
        from .evaluate import evaluate
        from .export import export
        from .search import search
        from .searching.settings import SearchSettings
        from .train import train
        from .training.members import read_record
        from .training.plan import TrainSettings
        from .training.search_result import read_result
    say(f"2 search: Keras Tuner, {SEARCH['trials']} architectures")
    searched = search(audited, out / "search", SearchSettings(**SEARCH))
    best = read_result(searched)
    show(f"validation kappa {best.val_qwk:.3f}: {', '.join(f'{name} {best.architecture[name]}' for name in SHOWN)}")
    say("3 train: the winner, anew")
    trained = train(searched, out / "train", TrainSettings(**TRAIN))
    (member,) = read_record(trained).members
    show(f"{member.epochs} epochs, validation kappa {member.val_qwk:.3f}")
    say("4 evaluate: calibrate on validation films, measure on test films")
    evaluated = evaluate(trained, out / "evaluate")
    kappa = read_evidence(evaluated / "evidence.json").metrics["synthetic_test"].qwk
    show(f"test kappa {kappa.value:.3f} (95% interval {kappa.low:.3f} to {kappa.high:.3f}) on {kappa.n} films")
    say("5 export: the bundle, as Keras and as ONNX")
    export(evaluated, bundle, name="kneeoa-synthetic")
    if exported := read_evidence(bundle / "evidence.json").export:
        difference = exported.onnx_keras_difference
        show(
            f"ONNX graph of {exported.onnx_megabytes.value:.1f} MB; on {difference.n} films it differs from Keras by at"
            f" most {difference.value:.0e}"
        )


def _grade_samples(folder: Path, overlays: Path) -> Path:
    """Write the sample films and their overlays, show how the shipped weights grade them, and return their folder."""
    grader = from_pretrained()
    folder.mkdir(exist_ok=True)
    overlays.mkdir(exist_ok=True)
    for name, phantom in sample_films().items():
        Image.fromarray(phantom.pixels).save(folder / f"{name}.png")
        report = grader.grade(folder / f"{name}.png")
        report.overlay().save(overlays / f"{name}.png")
        graded = (
            ", ".join(f"{knee.grade} {knee.label}" for knee in report.knees)
            or f"not graded: {report.refused.message if report.refused else ''}"
        )
        show(f"{name:<12} drawn as {', '.join(map(str, phantom.grades)):<5} graded {graded}")
    return folder


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)


def show(*lines: str, before: str = "   ") -> None:
    """Print lines below a heading."""
    for line in lines:
        print(f"{before}{line}".rstrip(), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the loop; returns 0, or 1 with one line when a step fails, or 2 for a wrong command line."""
    parser = CommandParser(prog="python -m tuning.quickstart", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="default runs/quickstart")
    out = parser.parse_args(arguments).out
    console.prepare()
    keep_freed_memory()
    return console.exit_code(lambda: quickstart(out))


if __name__ == "__main__":
    sys.exit(main())
