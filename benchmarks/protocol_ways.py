"""Ways to train on two collections whose readers differ are compared: on both, and on films from outside.

    python -m tuning train --data runs/audit --architecture folded@128 --epochs 5 --batch 32 --variants 4 --out runs/one
    python -m tuning train ... --protocols --out runs/two
    python -m tuning train ... --datasets oai --out runs/oai
    python -m tuning train ... --datasets gornale --epochs 20 --out runs/gornale

    python -m benchmarks.protocol_ways relabel --trained runs/oai --collection gornale --out runs/relabelled
    python -m tuning train --data runs/relabelled ... --out runs/unlabelled

    python -m benchmarks.protocol_ways measure --films outside.zip --out docs/evidence/protocol-ways \\
        --trained "one classifier=runs/one" --trained "two classifiers=runs/two" --trained "OAI alone=runs/oai" \\
        --trained "Gornale alone=runs/gornale" --trained "Gornale without its labels=runs/unlabelled"

`relabel` writes an audit in which a network gives the training films of a collection their grades, so that the labels
of its readers are not used. `measure` grades the validation films of each collection, by each classifier of a training,
and films from outside that have no KL grades: how many knees keep their grade when exposure or quality is changed,
whether osteoarthritis goes with age (Spearman's correlation), and how many people under 40 are called osteoarthritic in
the worse knee. The shipped bundle finds their knees. No test film is used. Writes protocol-ways.json and
protocol-ways.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grades import OSTEOARTHRITIS_FROM
from kneeoa_hub.imaging.frame import Place, frame, network_values, place_of
from tuning.data.cut import cut_borders
from tuning.evaluation.film_changes import CHANGES, pixels_of
from tuning.run import console

from .causes import named_folder
from .measuring import write_figures

if TYPE_CHECKING:
    import keras

    from kneeoa_hub.bundle import InputConfig

CHANGED = ("gamma 2", "contrast .3", "CLAHE .01", "JPEG 30", "noise 10", "blur 2")
"""These are names of changes that leave the knee where it is."""
YOUNG = 40
"""Osteoarthritis is rare in people of fewer years."""
BATCH = 32


@dataclass(frozen=True)
class OutsideKnee:
    """A knee of a film from outside, with the film, which has no borders, and the age of the person in years."""

    film: str
    age: float
    pixels: np.ndarray
    place: Place


@dataclass(frozen=True)
class Validation:
    """What a network reaches on the validation films of one collection."""

    qwk: Estimate
    accuracy: Estimate
    auc_oa: Estimate


@dataclass(frozen=True)
class Row:
    """A row is what one classifier of one training answers.

    Attributes:
        trained: The name of the training.
        answers: Whose readers the classifier follows; "all" where it learnt from several.
        collections: What it reaches on the validation films of each collection.
        knees: Number of knees from outside.
        same: Proportion of them that keep their grade, over all changes.
        age: Spearman's correlation of the probability of KL 2 or more in the worse knee with age.
        young: Number of people under YOUNG.
        young_called: How many of them have KL 2 or more as the likelier answer in the worse knee.
    """

    trained: str
    answers: str
    collections: dict[str, Validation]
    knees: int
    same: float
    age: float
    young: int
    young_called: int


def read_outside(data: Path) -> list[OutsideKnee]:
    """Return the knees that the shipped bundle finds in an archive of films/ and labels.csv with people's ages."""
    grader, knees = from_pretrained(threads=1), []
    with zipfile.ZipFile(data) as archive:
        (labels,) = (name for name in archive.namelist() if PurePosixPath(name).name == "labels.csv")
        rows = list(csv.DictReader(io.StringIO(archive.read(labels).decode("utf-8"))))
        for row in rows:
            with Image.open(io.BytesIO(archive.read(str(PurePosixPath(labels).parent / row["file"])))) as image:
                pixels = np.asarray(image.convert("L"))
            found = grader.grade(pixels).knees
            places = [cut_borders(pixels, place_of(knee.box)) for knee in found]
            knees += [OutsideKnee(row["file"], float(row["age"]), inner, place) for inner, place in places]
    return knees


def probabilities(
    model: keras.Model, config: InputConfig, knees: Sequence[OutsideKnee], change: str = ""
) -> np.ndarray:
    """Return the probabilities [N,5] of knees.

    Args:
        model: An ensemble.
        config: Its input.
        knees: The N knees.
        change: The name of a change of their films; "" is none.
    """
    changes = {one.name: one.apply for one in CHANGES}
    inputs = []
    for number, knee in enumerate(knees):
        film = pixels_of(changes[change](knee.pixels, np.random.default_rng(number))) if change else knee.pixels
        framed = frame(film, knee.place, config.height, (config.low, config.high), config.reach)
        inputs.append(network_values(framed.pixels))
    parts = [np.stack(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    return np.concatenate([np.asarray(model.predict_on_batch(part)["probabilities"]) for part in parts])


def outside_figures(by_change: Mapping[str, np.ndarray], knees: Sequence[OutsideKnee]) -> dict[str, float | int]:
    """Return the figures of films from outside of a Row.

    Args:
        by_change: The probabilities [N,5] of the knees under each change; "" is none.
        knees: The N knees.
    """
    from scipy.stats import spearmanr

    plain = by_change[""]
    same = [answers.argmax(1) == plain.argmax(1) for change, answers in by_change.items() if change]
    oa, films = plain[:, OSTEOARTHRITIS_FROM:].sum(1), np.array([knee.film for knee in knees])
    names, first = np.unique(films, return_index=True)
    worse = np.array([oa[films == name].max() for name in names])
    ages = np.array([knees[row].age for row in first])
    young = worse[ages < YOUNG]
    return {
        "knees": len(knees),
        "same": float(np.mean(same)),
        "age": float(np.asarray(spearmanr(worse, ages))[0]),
        "young": len(young),
        "young_called": int((young > 0.5).sum()),
    }


def measured(trained: str, training: Path, knees: Sequence[OutsideKnee]) -> Iterator[Row]:
    """Yield a row of each classifier of a training.

    Args:
        trained: The name of the training.
        training: Its folder.
        knees: Knees from outside.
    """
    from tuning.data.datasets import load_knees
    from tuning.evaluation.metrics import Predictions, measure
    from tuning.evaluation.outputs import predict
    from tuning.training.members import load_ensemble, read_record

    for protocol in read_record(training).protocols or ("",):
        ensemble = load_ensemble(training, protocol)
        validation, collections = load_knees(ensemble.audit, "val", ensemble.config), {}
        for name in sorted(set(validation.datasets)):
            films = validation.of_datasets([name])
            answers = predict(ensemble.model, films, f"{trained}: {name}").probabilities
            nothing = np.zeros(len(films), int)
            predictions = Predictions(films.grades, answers.argmax(1), answers, nothing, nothing, films.groups)
            collections[name] = measure(Validation, predictions)
        by_change = {change: probabilities(ensemble.model, ensemble.config, knees, change) for change in ("", *CHANGED)}
        follows = ensemble.graded_like[0] if len(ensemble.graded_like) == 1 else "all"
        yield Row(trained, follows, collections, **outside_figures(by_change, knees))  # pyright: ignore[reportArgumentType]


def relabel(training: Path, collection: str, out: Path) -> None:
    """Write an audit in which a network has given the training films of a collection their grades.

    Args:
        training: Output folder of the training of the network.
        collection: Name of the collection, from which the network did not learn.
        out: The folder for the new audit.
    """
    from tuning.data.datasets import load_knees
    from tuning.data.table import read_films, write_films
    from tuning.evaluation.outputs import predict
    from tuning.training.members import load_ensemble

    ensemble = load_ensemble(training)
    knees = load_knees(ensemble.audit, "train", ensemble.config).of_datasets([collection])
    answers = predict(ensemble.model, knees, f"grade {collection}").probabilities.argmax(1)
    grades = {film.sha256: int(grade) for film, grade in zip(knees.films, answers, strict=True)}
    out.mkdir(parents=True, exist_ok=True)
    for file in ensemble.audit.iterdir():
        if file.is_file():
            shutil.copy(file, out)
    films = [replace(film, grade=grades.get(film.sha256, film.grade)) for film in read_films(ensemble.audit)]
    write_films(out / "films.csv", films)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    names = sorted({name for row in rows for name in row.collections})
    headings = [f"{name}: {what}" for name in names for what in ("QWK", "accuracy", "AUC, KL >= 2")]
    lines = [
        (
            row.trained,
            row.answers,
            *(value for name in names for value in vars(row.collections[name]).values()),
            f"{row.same:.2f}",
            f"{row.age:.2f}",
            f"{row.young_called} of {row.young}",
        )
        for row in rows
    ]
    outside = ("outside: same grade", "with age", f"under {YOUNG}, called KL >= 2")
    return markdown_table(("trained", "follows", *headings, *outside), lines) + "\n"


def main() -> None:
    """Relabel films, or measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    again = ways.add_parser("relabel", help="write an audit with grades of a network")
    again.add_argument("--trained", type=Path, required=True, help="output folder of the training of the network")
    again.add_argument("--collection", required=True, help="the films of this collection get its grades")
    again.add_argument("--out", type=Path, required=True)
    measuring = ways.add_parser("measure", help="measure trainings")
    trained = "a name and the output folder of `python -m tuning train`; may be repeated"
    measuring.add_argument(
        "--trained", type=named_folder, action="append", required=True, metavar="NAME=DIR", help=trained
    )
    measuring.add_argument("--films", type=Path, required=True, help="archive of films from outside")
    measuring.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    console.prepare()
    if given.way == "relabel":
        relabel(given.trained, given.collection, given.out)
        return
    knees = read_outside(given.films)
    rows = [row for name, folder in given.trained for row in measured(name, folder, knees)]
    write_figures(given.out, "protocol-ways", [asdict(row) for row in rows], table(rows))


if __name__ == "__main__":
    main()
