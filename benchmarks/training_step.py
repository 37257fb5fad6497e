"""A training step with real films is compared with the same step on a fixed batch in memory, as ratios of one run.

    python -m benchmarks.training_step --data runs/audit

Three ways, in turns, with one network and batches of 32: one batch again and again; `TrainingBatches`, which draws
films from the cache and changes them at random, as every training here does; and Keras's
`image_dataset_from_directory` on the same pictures as PNG files, with random layers that change one image after the
other. The ratios are of the medians over the later epochs of every turn, as a training has many. Other work on the
machine slows all three, and not alike; the processor's time hardly depends on it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, TURNS, EPOCHS = 32, 3, 3


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
        "a fixed batch in memory": Fixed(),
        "real films": batches,
        "image_dataset_from_directory": per_image,
    }


def _clocks() -> np.ndarray:
    """[2]: seconds of the clock, and of the processor in all threads of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def measure(audit: Path, size: int, films: int) -> dict[str, np.ndarray]:
    """Return the seconds of one step by each way, of the clock and of the processor.

    They are medians over the epochs of TURNS trainings of EPOCHS, without the first epochs.

    Args:
        audit: Output folder of an audit.
        size: Side of the input in pixels.
        films: Number of training films.
    """
    import keras

    from tuning.networks.architecture import Architecture, compiled

    class Clock(keras.callbacks.Callback):
        """Times every epoch of a training."""

        def __init__(self) -> None:
            super().__init__()
            self.spent: list[np.ndarray] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._began = _clocks()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.spent.append(_clocks() - self._began)

    keras.utils.set_random_seed(0)
    model = compiled(Architecture(size=size, crop="frame"))
    spent: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = sources(audit, Path(folder), size, films)
        for _ in range(TURNS):
            for name, batches in ways.items():
                clock = Clock()
                model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[clock])  # pyright: ignore[reportArgumentType]
                # The first epoch compiles, and draws two batches more, by which Keras learns their form.
                spent.setdefault(name, []).extend(one / len(batches) for one in clock.spent[1:])
    return {name: np.median(values, axis=0) for name, values in spent.items()}


def main() -> None:
    """Measure, and print the milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--size", type=int, default=160, help="pixels of the input (default 160)")
    parser.add_argument("--films", type=int, default=960, help="training films (default 960)")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    spent = measure(given.data, given.size, given.films)
    fixed = spent["a fixed batch in memory"]
    names = "milliseconds", "ratio", "processor_milliseconds", "processor_ratio"
    rows = {}
    for name, (clock, processor) in spent.items():
        values = 1000 * clock, clock / fixed[0], 1000 * processor, processor / fixed[1]
        rows[name] = {key: float(value) for key, value in zip(names, values, strict=True)}
        print("{:30} {:7.1f} ms {:6.2f}, of the processor {:7.1f} ms {:6.2f}".format(name, *values))
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
