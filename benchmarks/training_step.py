"""A training step with real films is compared with the same step on a fixed batch in memory, as ratios of one run.

    python -m benchmarks.training_step --data runs/audit --out docs/evidence/training_step

Three ways, in turns, with one network and batches of 32: one batch again and again; `TrainingBatches`, which draws
films from the cache and changes them at random, as every training here does; and Keras's
`image_dataset_from_directory` on the same pictures as PNG files, with random layers that change one image after the
other. One core does all the work, so a film that is prepared beside a step is not free, and the processor's time is
what a step takes. The first epoch of a turn does not count, as a training has many. A ratio is the median of the turns;
beside it stands the middle half of them.

Writes step.json and step.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import ended, machine, measured_on, write_figures
from kneeoa_hub.card.text import table as markdown_table

BATCH, TURNS, EPOCHS = 32, 15, 2
FIXED = "a fixed batch in memory"
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""TensorFlow reads these environment variables when it starts."""


@dataclass(frozen=True)
class Way:
    """A way to give films to a network.

    Attributes:
        name: What it is called.
        milliseconds: Time of a training step with its films, in each turn.
    """

    name: str
    milliseconds: tuple[float, ...]


def sources(audit: Path, folder: Path, size: int, films: int) -> dict[str, Any]:
    """Return the batches of an epoch of each way, by its name.

    Args:
        audit: Output folder of an audit.
        folder: Where PNG files are written.
        size: Side of the input in pixels.
        films: Number of training films.
    """
    import keras
    from PIL import Image

    from tuning.data.augment import TrainingBatches
    from tuning.data.datasets import load_knees, stratified_subset
    from tuning.networks.architecture import Architecture

    architecture = Architecture(size=size, crop="frame")
    knees = stratified_subset(load_knees(audit, "train", architecture.input), films)
    batches = TrainingBatches(knees, BATCH, architecture.augmentation, 0)
    first = batches[0]

    class Fixed(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Any:
            return first

    for number, (pixels, grade) in enumerate(zip(knees.pixels, knees.grades.tolist(), strict=True)):
        place = folder / str(grade)
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    layers = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.03),
            keras.layers.RandomTranslation(0.05, 0.05),
            keras.layers.RandomZoom(0.1),
            keras.layers.RandomBrightness(0.1, (0, 255)),
            keras.layers.RandomContrast(0.2),
        ]
    )
    reader: Any = keras.utils.image_dataset_from_directory
    read = reader(
        folder,
        label_mode="categorical",
        color_mode="grayscale",
        image_size=knees.pixels.shape[1:],
        batch_size=None,
        verbose=False,
    )

    def changed(image: Any, grade: Any) -> tuple[Any, Any]:
        return layers(image, training=True) / 127.5 - 1, grade

    per_image = read.map(changed).batch(BATCH, drop_remainder=True).prefetch(2)
    return {
        FIXED: Fixed(),
        "real films": batches,
        "image_dataset_from_directory": per_image,
    }


def measure(audit: Path, size: int, films: int) -> tuple[Way, ...]:
    """Return the times of one step by each way: the mean over the later epochs of each of TURNS trainings.

    Args:
        audit: Output folder of an audit.
        size: Side of the input in pixels.
        films: Number of training films.
    """
    import keras

    from tuning.networks.architecture import Architecture, compiled

    class Clock(keras.callbacks.Callback):
        """Times every epoch of a training, by the processor: other programs count less than by the clock."""

        def __init__(self) -> None:
            super().__init__()
            self.spent: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._began = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.spent.append(time.process_time() - self._began)

    keras.utils.set_random_seed(0)
    model = compiled(Architecture(size=size, crop="frame"))
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = sources(audit, Path(folder), size, films)
        for _ in range(TURNS):
            for name, batches in ways.items():
                clock = Clock()
                model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[clock])  # pyright: ignore[reportArgumentType]
                # The first epoch compiles, and draws two batches more, by which Keras learns their form.
                spent.setdefault(name, []).append(1000 * float(np.mean(clock.spent[1:])) / len(batches))
    return tuple(Way(name, tuple(turns)) for name, turns in spent.items())


def table(ways: Sequence[Way]) -> str:
    """Return the ways as Markdown."""
    fixed = next(np.array(way.milliseconds) for way in ways if way.name == FIXED)
    rows = []
    for way in ways:
        ratios = np.array(way.milliseconds) / fixed
        low, high = np.quantile(ratios, (0.25, 0.75))
        spread = "" if way.name == FIXED else f" ({low:.2f} to {high:.2f})"
        rows.append((way.name, f"{np.median(way.milliseconds):.0f}", f"{np.median(ratios):.2f}{spread}"))
    return markdown_table(("films", "milliseconds of a step", "ratio"), rows) + "\n"


def on_one_core() -> None:
    """Keep this process on one core. TensorFlow has not started yet."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    threads = Path("/proc/self/task")  # Linux has it; elsewhere films may be prepared on another core
    core = min(os.sched_getaffinity(0)) if threads.exists() else 0
    for thread in threads.iterdir() if threads.exists() else ():
        os.sched_setaffinity(int(thread.name), {core})


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--size", type=int, default=160, help="pixels of the input (default 160)")
    parser.add_argument("--films", type=int, default=320, help="training films (default 320)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    given = parser.parse_args()
    on_one_core()
    where = machine()
    ways = measure(given.data, given.size, given.films)
    where = ended(where)
    settings = {"size": given.size, "films": given.films, "batch": BATCH}
    document = {"machine": asdict(where), "settings": settings, "ways": [asdict(way) for way in ways]}
    write_figures(given.out, "step", document, f"{table(ways)}\n{measured_on(where)}\n")


if __name__ == "__main__":
    main()
