"""Seconds from a command to its answer, in a new process each time, compared with the least that it could take.

    python benchmarks/cold_start.py --runs 5

Compared are `import kneeoa_hub` with `import numpy`, and `kneeoa grade` of one synthetic film with plain onnxruntime
running the same graph once and with Keras loading the same network. The first run of each warms the disk cache and is
not counted. The exit code is 1 when one of LIMITS is exceeded, which may also happen on a busy machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films

LIMITS = {"import kneeoa_hub over import numpy": 0.1, "kneeoa --help": 0.3, "kneeoa grade over the graph once": 0.5}
"""Seconds at most."""
SHIPPED = Path(__file__).parent.parent / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
ONNX = """
import sys, numpy, onnxruntime
from pathlib import Path
from PIL import Image
session = onnxruntime.InferenceSession(Path(sys.argv[1]) / "model.onnx", providers=["CPUExecutionProvider"])
height, width = session.get_inputs()[0].shape[1:3]
film = numpy.asarray(Image.open(sys.argv[2]).resize((width, height)), "float32")
print(session.run(["probabilities"], {"image": ((film - film.mean()) / film.std())[None, ..., None]})[0].argmax())
"""
KERAS = """
import sys, numpy, keras
from PIL import Image
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
height, width = model.input_shape[1:3]
film = numpy.asarray(Image.open(sys.argv[2]).resize((width, height)), "float32")
image = (film - film.mean()) / film.std()
print(model.predict(image[None, ..., None], verbose=0)["probabilities"].argmax())
"""


def seconds(command: list[str], runs: int) -> list[float]:
    """Return the seconds of each run of a command, without the first one."""
    taken = []
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def main() -> int:
    """Time the commands, and print the results; returns 1 when one of LIMITS is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    given = parser.parse_args()
    runs = given.runs
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(sample_films()["moderate"].pixels).save(film)
        commands = {
            "import numpy": ["-c", "import numpy"],
            "import kneeoa_hub": ["-c", "import kneeoa_hub"],
            "kneeoa --help": ["-m", "kneeoa_hub.cli", "--help"],
            "onnxruntime, the graph once": ["-c", ONNX, str(SHIPPED), str(film)],
            "kneeoa grade": ["-m", "kneeoa_hub.cli", "grade", str(film)],
            "Keras, load and predict": ["-c", KERAS, str(SHIPPED), str(film)],
        }
        taken = {name: seconds([sys.executable, *command], runs) for name, command in commands.items()}
    median = {name: statistics.median(values) for name, values in taken.items()}
    for name, values in taken.items():
        print(f"{name:<28}{median[name]:7.2f} s (median of {runs}; {min(values):.2f} to {max(values):.2f})")
    more = {
        "import kneeoa_hub over import numpy": median["import kneeoa_hub"] - median["import numpy"],
        "kneeoa --help": median["kneeoa --help"],
        "kneeoa grade over the graph once": median["kneeoa grade"] - median["onnxruntime, the graph once"],
    }
    for name, limit in LIMITS.items():
        print(f"{name}: {more[name]:.3f} s, at most {limit}{'' if more[name] <= limit else ': TOO MUCH'}")
    print(f"Keras over kneeoa grade: {median['Keras, load and predict'] / median['kneeoa grade']:.1f} times")
    if given.out:
        figures = {"seconds": median, "limited": more, "limits": LIMITS, "load_average": os.getloadavg()[0]}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return int(any(more[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    raise SystemExit(main())
