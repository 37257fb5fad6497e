"""From the start of a process to the answer for one film: `kneeoa grade`, bare Python with onnxruntime, and Keras."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films

from ..cold_start import KERAS, ONNX
from .figure import BUNDLE, ROOT, Figure, compared, in_turns, seconds

ROUNDS, KERAS_ROUNDS = 9, 2


def measure() -> list[Figure]:
    """Start each command in a new process, in turns."""
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(sample_films()["moderate"].pixels).save(film)
        grade = partial(_seconds, ["-m", "kneeoa_hub.cli", "grade", str(film)])
        bare = partial(_seconds, ["-c", ONNX, str(BUNDLE), str(film)])
        keras = partial(_seconds, ["-c", KERAS, str(BUNDLE), str(film)])
        near = in_turns({"grade": grade, "bare": bare}, ROUNDS)
        far = in_turns({"grade": grade, "keras": keras}, KERAS_ROUNDS)
    name = "`kneeoa grade` of one film, process start to answer"
    return [
        compared(
            name,
            "bare Python with onnxruntime: the same graph once",
            "s",
            near["grade"],
            near["bare"],
            floor=1.4,
            aim=1.15,
        ),
        compared(
            name,
            "Keras: load_model and predict",
            "s",
            far["grade"],
            far["keras"],
            floor=15,
            aim=25,
            other_over_value=True,
            larger_is_better=True,
        ),
    ]


def _seconds(command: list[str]) -> float:
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # without compiled modules Python's own compiler would be measured
    run = partial(subprocess.run, [sys.executable, *command], check=True, capture_output=True, env=environ)
    return seconds(run)
