"""The searched network is trained with and without keeping freed memory (tuning/run/memory.py); the ratio is shown.

    python -m benchmarks.training_speed --steps 40

Trains on random pictures with batches of 32, each way in a new process.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import replace

BATCH = 32


def images_per_second(steps: int) -> float:
    """Return the training speed over a number of steps."""
    import keras
    import numpy as np

    from tuning.networks.architecture import Architecture, compiled

    keras.utils.set_random_seed(0)
    architecture = replace(Architecture(), size=160)
    model = compiled(architecture)
    images = np.random.default_rng(0).standard_normal((BATCH * steps, 160, 160, 1), np.float32)
    grades = np.eye(5, dtype=np.float32)[np.arange(len(images)) % 5]

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

    clock = Clock()
    model.fit(images, grades, batch_size=BATCH, epochs=2, verbose=0, callbacks=[clock])  # pyright: ignore[reportArgumentType]
    return len(images) / (time.perf_counter() - clock.began)  # of the second epoch; the first one compiles


def main() -> None:
    """Measure both ways, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--way", choices=("kept", "given-back"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        from tuning.run.memory import keep_freed_memory

        if arguments.way == "kept":
            keep_freed_memory()
        print(images_per_second(arguments.steps))
        return
    speed = {}
    for way in ("given-back", "kept"):
        command = [sys.executable, "-m", "benchmarks.training_speed", "--steps", str(arguments.steps), "--way", way]
        speed[way] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"freed memory given back: {speed['given-back']:6.0f} images/s\nfreed memory kept:       {speed['kept']:6.0f}"
        " images/s"
    )
    print(f"ratio:                   {speed['kept'] / speed['given-back']:6.2f}")


if __name__ == "__main__":
    main()
