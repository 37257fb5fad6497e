"""Seconds from the command to the grade, in a new process each time, beside loading the same network in Keras.

    python benchmarks/cold_start.py --runs 5

Both grade one synthetic film with the shipped weights; the first, uncounted run of each warms the disk.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films

SHIPPED = Path(__file__).parent.parent / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
KERAS = """
import sys, numpy, keras
from PIL import Image
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
side = model.input_shape[1]
film = numpy.asarray(Image.open(sys.argv[2]).resize((side, side)), "float32")
image = (film - film.mean()) / film.std()
print(model.predict(image[None, ..., None], verbose=0)["probabilities"].argmax())
"""


def seconds(command: list[str], runs: int) -> list[float]:
    """Wall-clock seconds of each run of a command, a first one left out."""
    taken = []
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(sample_films()["moderate"].pixels).save(film)
        ours = seconds([sys.executable, "-m", "kneeoa_hub.cli", "grade", str(film)], runs)
        keras = seconds([sys.executable, "-c", KERAS, str(SHIPPED), str(film)], runs)
    print(f"kneeoa grade, cold:      {statistics.median(ours):6.2f} s (median of {runs}; {min(ours):.2f} to {max(ours):.2f})")
    print(f"Keras load and predict:  {statistics.median(keras):6.2f} s ({min(keras):.2f} to {max(keras):.2f})")
    print(f"ratio:                   {statistics.median(keras) / statistics.median(ours):6.1f}")


if __name__ == "__main__":
    main()
