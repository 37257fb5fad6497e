"""One film is timed from the start of a process to the answer: `kneeoa grade`, bare Python with onnxruntime, Keras."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films

from ..measuring import BUNDLE, ROOT, in_turns, seconds
from .figure import Figure, compared

ROUNDS, KERAS_ROUNDS = 9, 2
ONNX = """
import sys, numpy, onnxruntime
from pathlib import Path
from PIL import Image
session = onnxruntime.InferenceSession(Path(sys.argv[1]) / "model.onnx", providers=["CPUExecutionProvider"])
height, width = session.get_inputs()[0].shape[1:3]
film = numpy.asarray(Image.open(sys.argv[2]).resize((width, height)), "float32")
print(session.run(["probabilities"], {"image": ((film - film.mean()) / film.std())[None, ..., None]})[0].argmax())
"""
"""This program runs the grading graph of a bundle once on a film, without the package."""
KERAS = """
import sys, numpy, keras
from PIL import Image
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
height, width = model.input_shape[1:3]
film = numpy.asarray(Image.open(sys.argv[2]).resize((width, height)), "float32")
image = (film - film.mean()) / film.std()
for _ in range(int(sys.argv[3])):
    print(model.predict(image[None, ..., None], verbose=0)["probabilities"].argmax())
"""
"""This program loads a bundle with Keras, and predicts the grade of a film as often as its third argument says."""


def measure() -> list[Figure]:
    """Start each command in a new process, in turns."""
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(sample_films()["moderate"].pixels).save(film)
        grade = partial(_seconds, ["-m", "kneeoa_hub.cli", "grade", str(film)])
        bare = partial(_seconds, ["-c", ONNX, str(BUNDLE), str(film)])
        keras = partial(_seconds, ["-c", KERAS, str(BUNDLE), str(film), "1"])
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
