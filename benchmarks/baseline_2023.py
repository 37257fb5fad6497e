"""The CNN of IEEE 10724941, nearly as its author ran it, and under this package's protocol.

    python -m benchmarks.baseline_2023 --data runs/audit --out runs/baseline-2023 --epochs 12
    python -m benchmarks.baseline_2023 --data runs/audit --out runs/baseline-2023 --epochs 12 --model org/name@v1.0

Leaky: every film of a dataset squashed to 256x256 and split by file, a tenth for the test, as in 2023. Clean: one knee
a film, aspect kept, split by clusters of copies. The network is that of the paper (3.79 million parameters); optimizer,
standardisation by film and the choice of the best epoch on validation films are this package's. The paper trained for
100 epochs, which takes hours on two cores; say how many with --epochs. With --model, that bundle (default: the shipped
one) is set against it on the clean test films, with the difference in kappa by paired bootstrap. Writes
baseline-2023.json and .md. Takes up where it was stopped.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

from .baselines import LEAKY_TEST, Row, above, graded, measured, table

DATASET = "gornale"
BATCH = 32


def squashed(audit: Path, side: int):
    """Every readable film of the dataset as its author saw it: gray, 8 bits, squashed to a square."""
    from kneeoa_hub.imaging.decode import decode
    from tuning.data.datasets import Knees
    from tuning.data.sources import FilmReader
    from tuning.data.table import read_films

    films = tuple(film for film in read_films(audit) if film.dataset == DATASET and film.width)
    pixels = np.empty((len(films), side, side), np.uint8)
    with FilmReader() as reader:
        for row, film in enumerate(steps.progress(films, "squash")):
            decoded = decode(reader.read(film.source, film.file)).pixels.astype(np.float32)
            scaled = decoded * (255 / max(float(decoded.max()), 1.0))
            pixels[row] = np.asarray(Image.fromarray(scaled.astype(np.uint8)).resize((side, side)))
    return Knees(pixels, np.tile([0, 0, side, side], (len(films), 1)), films)


def leaky(audit: Path, side: int):
    """Training, validation and test knees, split by file."""
    from sklearn.model_selection import train_test_split

    films = squashed(audit, side)
    training, test = train_test_split(np.arange(len(films)), test_size=LEAKY_TEST, random_state=0)
    training, validation = train_test_split(training, test_size=LEAKY_TEST, random_state=0)
    return films.take(training), films.take(validation), films.take(test)


def clean(audit: Path, side: int):
    """Training, validation and test knees of the audit."""
    from kneeoa_hub.bundle import InputConfig
    from tuning.data.datasets import load_knees

    return tuple(load_knees(audit, split, InputConfig(side, side)).of([DATASET]) for split in ("train", "val", "test"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--model", nargs="?", const="", metavar="ADDRESS", help="a bundle to set against it on the clean test films"
    )
    arguments = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        from tuning.networks.architecture import BASELINE_2023, build
        from tuning.train import TrainSettings, train_member

    settings = TrainSettings(arguments.epochs, arguments.epochs, BATCH)
    rows = []
    for name, split in (("leaky", leaky), ("clean", clean)):
        out = steps.begin(
            arguments.out / name, "baseline-2023", str(arguments.data), {"epochs": arguments.epochs, "split": name}
        )
        training, validation, test = split(arguments.data, BASELINE_2023.size)
        train_member(BASELINE_2023, training, validation, "0", 0, settings, out)
        model = build(BASELINE_2023)
        model.load_weights(out / "member-0.weights.h5")
        grades = model.predict(test.inputs(), batch_size=BATCH, verbose=0).argmax(1)
        title = f"CNN of 2023, {arguments.epochs} epochs"
        row = Row(baseline=title, dataset=DATASET, split=name, **measured(test.grades, grades, test.groups))
        if split is clean and arguments.model is not None:
            by_model = graded(list(test.films), arguments.model or None)
            row = replace(row, model_above=above(test.grades, by_model, grades, test.groups))
        rows.append(row)
    (arguments.out / "baseline-2023.json").write_text(steps.as_json(rows), "utf-8")
    (arguments.out / "baseline-2023.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
