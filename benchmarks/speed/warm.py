"""With everything loaded, one film is timed from its path to its report, beside its decoding and the networks alone."""

import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

import kneeoa_hub
from kneeoa_hub.imaging.phantom import two_knee_film

from ..load import SMALL, dicom, films
from ..measuring import BUNDLE, in_turns, milliseconds
from .figure import Figure, compared

ROUNDS, FILMS_A_ROUND = 15, 6
PAUSE = 0.02
"""Between the two sides are this many seconds, in which the threads of the other one stop waiting for work."""


def measure() -> list[Figure]:
    """Grade a small PNG and a large DICOM film with two knees, in turns with what is needed at least."""
    grader = kneeoa_hub.from_pretrained()
    least = _Least()
    with TemporaryDirectory() as folder:
        small, large = Path(folder) / "knee.png", Path(folder) / "knees.dcm"
        small.write_bytes(films()[SMALL])
        large.write_bytes(two_knees())
        assert len(grader.grade(small).knees) == 1
        assert len(grader.grade(large).knees) == 2
        of_small = in_turns(
            {"grade": _after_pause(grader.grade, small), "least": _after_pause(least.of_picture, small)}, ROUNDS
        )
        of_large = in_turns(
            {"grade": _after_pause(grader.grade, large), "least": _after_pause(least.of_dicom, large)}, ROUNDS
        )
    return [
        compared(
            "one warm film, 224-pixel PNG, path to report",
            "decoding, resizing and the grading graph alone",
            "ms",
            of_small["grade"],
            of_small["least"],
            floor=1.5,
            aim=1.25,
        ),
        compared(
            "one warm film, 2000x2500 16-bit DICOM with two knees",
            "decoding, resizing and every graph once",
            "ms",
            of_large["grade"],
            of_large["least"],
            floor=1.4,
            aim=1.15,
        ),
    ]


def two_knees() -> bytes:
    """Return a film of both knees, 2500 pixels wide and 2000 high, with 16 bits and noise, as DICOM."""
    drawn = two_knee_film((2, 3), 7, height=400, width=500, bits=16).pixels.astype(np.float32)
    large = np.asarray(Image.fromarray(drawn).resize((2500, 2000), Image.Resampling.BICUBIC))
    noisy = large + np.random.default_rng(0).normal(0, 40, large.shape)
    return dicom(np.clip(noisy, 0, 65535).astype(np.uint16))


class _Least:
    """This uses decoders, Pillow and onnxruntime with their own settings: it looks for, checks and explains nothing.

    A large film is thinned first: every network sees fewer pixels than are left.
    """

    THINNED = 4

    def __init__(self) -> None:
        import onnxruntime

        self._graphs: dict[str, Any] = {
            name: onnxruntime.InferenceSession(BUNDLE / f"{name}.onnx", providers=["CPUExecutionProvider"])
            for name in ("model", "locator", "gate")
        }

    def of_picture(self, path: Path) -> None:
        pixels = Image.open(io.BytesIO(path.read_bytes())).convert("L")
        self._run("model", pixels, 1)

    def of_dicom(self, path: Path) -> None:
        import pydicom

        film = pydicom.dcmread(path).pixel_array
        pixels = Image.fromarray(film[:: self.THINNED, :: self.THINNED].astype(np.float32))
        for name, knees in (("locator", 1), ("gate", 2), ("model", 2)):
            self._run(name, pixels, knees)

    def _run(self, name: str, pixels: Image.Image, knees: int) -> None:
        height, width = self._graphs[name].get_inputs()[0].shape[1:3]
        values = np.asarray(pixels.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        one = ((values - values.mean()) / values.std())[None, ..., None]
        self._graphs[name].run(None, {"image": np.repeat(one, knees, 0)})


def _after_pause(grade: Callable[[Path], object], film: Path) -> Callable[[], float]:
    def taken() -> float:
        time.sleep(PAUSE)
        grade(film)  # memory and caches are as the other side left them
        return milliseconds(partial(grade, film), FILMS_A_ROUND)

    return taken
