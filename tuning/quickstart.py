"""The whole loop, small, on synthetic films: python -m tuning.quickstart [--out runs/quickstart]."""

import argparse
import os
import sys
import time
from pathlib import Path

from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.errors import KneeOAError
from kneeoa_hub.imaging.phantom import knee_film, sample_films, write_films

from . import steps
from .memory import keep_freed_memory

FILMS = 400
SEARCH = {"size": ["96"], "stem": ["conv5"], "widths": ["16-32-64-128", "48-96-192"], "normalisation": ["True"], "dense": [""],
          "pooling": ["average", "max", "attention"], "blocks": ["1"]}  # fmt: skip


def quickstart(out: Path) -> None:
    """Search, train, evaluate, export, publish, pull and grade; a folder that holds finished steps is taken up."""
    from .audit import audit
    from .evaluate import evaluate
    from .export import export
    from .publish import publish
    from .search import SearchSettings, search
    from .train import TrainSettings, train

    began = time.monotonic()
    films = out / "films"
    if not films.exists():
        say("Drawing synthetic films")
        write_films(films.with_name("films.part"), FILMS, progress=steps.progress)
        films.with_name("films.part").rename(films)
    say("1 audit: copies and splits")
    audited = audit([f"synthetic={films}"], out / "audit")
    say("2 search: Keras Tuner, 4 architectures")
    searched = search(audited, out / "search", SearchSettings("random", trials=4, epochs=3, films=240, batch=16, only=SEARCH))
    say("3 train: the winner")
    trained = train(searched, out / "train", TrainSettings(epochs=10, batch=16))
    say("4 evaluate")
    evaluated = evaluate(trained, out / "evaluate")
    say("5 export: the bundle")
    bundle = out / "bundle"
    if not bundle.exists():
        export(evaluated, bundle, name="kneeoa-synthetic")
    say("6 publish to a versioned folder, pull it from there, and grade")
    address = publish(bundle, out / "hub" / "kneeoa-synthetic", tag="v0.1")
    grader = from_pretrained(address)
    print(grader.grade(knee_film(3, seed=987_654).pixels).findings())
    say("The shipped weights on sample films")
    shipped, samples = from_pretrained(), out / "samples"
    samples.mkdir(exist_ok=True)
    for name, phantom in sample_films().items():
        Image.fromarray(phantom.pixels).save(samples / f"{name}.png")
        report = shipped.grade(samples / f"{name}.png")
        report.overlay().save(samples / f"{name}-graded.png")
        answers = ", ".join(f"{knee.grade} {knee.label}" for knee in report.knees) or f"not graded: {report.refused.message if report.refused else ''}"
        print(f"{name:<14} drawn as {', '.join(map(str, phantom.grades)):<5} graded {answers}")
    sample = samples / "moderate.png"
    print(f"""
Done in {(time.monotonic() - began) / 60:.1f} minutes. Synthetic films show that the loop runs, not how well a model grades.

  {searched / "report.md"}   the search and its plots
  {bundle / "README.md"}   the model card of the synthetic bundle
  {address}   where it was published
  {samples}   sample films, and how the shipped weights grade them

Try next:
  .venv/bin/kneeoa grade {sample}
  .venv/bin/kneeoa info
  make app      the web page, on http://127.0.0.1:8000
  make space    the demo, on http://127.0.0.1:7860""")


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tuning.quickstart", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="default runs/quickstart")
    out = parser.parse_args().out
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_freed_memory()
    try:
        quickstart(out)
    except KneeOAError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}; give an --out with room and permission.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
