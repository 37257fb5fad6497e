"""The CNN of IEEE 10724941 is trained nearly as its author ran it, and under this package's protocol.

    python -m benchmarks.baseline_2023 --data runs/audit --out runs/baseline-2023 --epochs 12
    python -m benchmarks.baseline_2023 --data runs/audit --out runs/baseline-2023 --epochs 12 --model org/name@v1.0

Leaky: every film of a dataset squashed to 256x256 and split by file, with a tenth for the test, as in 2023. Clean: one
knee per film, with its aspect, split by clusters of copies. The network is that of the paper (3.79 million parameters).
Optimizer, standardisation of each film and the choice of the best epoch on validation films are those of this package.
The paper trained for 100 epochs, which takes hours on two cores; --epochs sets their number. With --model, a bundle
(default: the shipped one) is compared with it on the clean test films, with the difference in kappa by paired
bootstrap. Writes baseline-2023.json and .md. A run that was stopped goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

from .baselines import LEAKY_TEST, Row, above, measure, model_grades, table

DATASET = "gornale"
BATCH = 32


def squashed(audit: Path, side: int):
    """Return every readable film of the dataset as its author used it: gray, 8 bits, squashed to a square."""
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
    """Return training, validation and test knees, split by file."""
    from sklearn.model_selection import train_test_split

    films = squashed(audit, side)
    rest, test = train_test_split(np.arange(len(films)), test_size=LEAKY_TEST, random_state=0)
    training, validation = train_test_split(rest, test_size=LEAKY_TEST, random_state=0)
    return tuple(films.take(np.asarray(rows)) for rows in (training, validation, test))


def clean(audit: Path, side: int):
    """Return training, validation and test knees of the audit."""
    from kneeoa_hub.bundle import InputConfig
    from tuning.data.datasets import load_knees

    return tuple(
        load_knees(audit, split, InputConfig(side, side)).of_datasets([DATASET]) for split in ("train", "val", "test")
    )


def main() -> None:
    """Train both ways, measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--model", nargs="?", const="", metavar="ADDRESS", help="a bundle to compare with it on the clean test films"
    )
    arguments = parser.parse_args()
    console.prepare()
    keep_freed_memory()
    with console.quiet_start():
        from tuning.networks.architecture import build
        from tuning.networks.search_space import BASELINE_2023
        from tuning.training.checkpoint import weights_path
        from tuning.training.member import TrainingFilms, train_member
        from tuning.training.plan import PlannedMember, TrainSettings

    settings = TrainSettings(arguments.epochs, arguments.epochs, BATCH)
    rows = []
    for name, split in (("leaky", leaky), ("clean", clean)):
        out = steps.begin(
            arguments.out / name, "baseline-2023", str(arguments.data), {"epochs": arguments.epochs, "split": name}
        )
        training, validation, test = split(arguments.data, BASELINE_2023.size)
        member = PlannedMember("0", 0, BASELINE_2023, arguments.epochs)
        train_member(member, TrainingFilms(training, validation), settings, out)
        model = build(BASELINE_2023)
        model.load_weights(weights_path(out, member.name))
        grades = model.predict(test.inputs(), batch_size=BATCH, verbose=0).argmax(1)  # pyright: ignore[reportArgumentType]
        title = f"CNN of 2023, {arguments.epochs} epochs"
        row = Row(baseline=title, dataset=DATASET, split=name, **measure(test.grades, grades, test.groups))
        if split is clean and arguments.model is not None:
            by_model = model_grades(test.films, arguments.model or None)
            row = replace(row, model_above=above(test.grades, by_model, grades, test.groups))
        rows.append(row)
    (arguments.out / "baseline-2023.json").write_text(steps.as_json(rows), "utf-8")
    (arguments.out / "baseline-2023.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
